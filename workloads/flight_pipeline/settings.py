"""What the components share: their image, and the names of what the cluster gives them."""

from typing import Final

from mlops_rollout import step_environment
from mlops_toolchain import images

NAME: Final = "flight-delay"

# The tag stands for the image's content, so the compiled file changes when the steps' code does,
# and so do the keys under which Kubeflow caches their results.
IMAGE: Final = images.reference("flights")

# In the namespace of the runs; the stack makes them.
SECRET: Final = step_environment.secret(NAME)
CONFIG_MAP: Final = step_environment.config_map(NAME)
SECRET_KEYS: Final = step_environment.SECRET_KEYS
CONFIG_KEYS: Final = (*step_environment.CONFIG_KEYS, "TRAINING_JOBS")
