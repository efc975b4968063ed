"""Where states of release 0.1.0 look for a provider, to delete what they hold."""

from mlops_platform.storage.dataset import DatasetProvider

__all__ = ["DatasetProvider"]
