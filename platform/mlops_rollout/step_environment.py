"""What a stack puts into the namespace of runs for a pipeline's steps, by the pipeline's name."""

from typing import Final

from mlops_rollout import deploy_step

# Of the Secret that `secret` names; there is none where Pods have an identity of their own.
SECRET_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
# Of the ConfigMap that `config_map` names.
CONFIG_KEYS: Final = (
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
    "KFP_API_URL",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
    deploy_step.VARIABLE,
)


def secret(pipeline: str) -> str:
    """Return the name of the Secret with the keys of the object store."""
    return f"{pipeline}-object-store"


def config_map(pipeline: str) -> str:
    """Return the name of the ConfigMap with the addresses."""
    return pipeline
