"""What the components share: their image, and the names of what the cluster gives them."""

from typing import Final

from mlops_toolchain import images

NAME: Final = "flight-delay"

# The tag stands for the image's content, so the compiled file changes when the steps' code does,
# and so do the keys under which Kubeflow caches their results.
IMAGE: Final = images.reference("flights")

# In the namespace of the runs; the stack makes them.
SECRET: Final = "flight-delay-object-store"  # noqa: S105 - a name
CONFIG_MAP: Final = "flight-delay"
SECRET_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
CONFIG_KEYS: Final = (
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
    "KFP_API_URL",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
    "MODEL_SERVERS",
    "TRAINING_JOBS",
)
