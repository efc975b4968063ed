"""Where states of release 0.1.0 look for a provider, to delete what they hold."""

from mlops_platform.pipelines.kubeflow_pipeline import (
    PipelineRunProvider,
    PipelineVersionProvider,
    RecurringRunProvider,
)

__all__ = ["PipelineRunProvider", "PipelineVersionProvider", "RecurringRunProvider"]
