"""Where states of release 0.1.0 look for a provider, to delete what they hold."""

from mlops_platform.tracking.model_version import ModelVersionProvider

__all__ = ["ModelVersionProvider"]
