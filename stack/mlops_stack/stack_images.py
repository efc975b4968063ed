"""Images that a stack's settings ask for and that `make up` has not yet seen built.

The program registers what the settings say, whatever this machine has built. What is not there is
built here, before the update; only a new stack does not wait for Kubeflow's UI, which takes minutes
and on which nothing depends.
"""

import subprocess
import sys
from typing import Final

from mlops_infra.infra_args import LOADS_IMAGES
from mlops_stack.pulumi_cli import PulumiError, Stack
from mlops_stack.settings import Settings
from mlops_toolchain import images

_UI: Final = ("kubeflow-pipelines-ui", "grpcwebproxy")
_UI_TYPE: Final = "mlops:platform:KubeflowPipelinesUi"


class StackImagesError(PulumiError):
    """An image that the stack needs could not be built; nothing was changed."""


def configuration(stack: Stack) -> dict[str, str]:
    """Return what the stack's next update is told beside its file.

    A stack that has Kubeflow's UI keeps it; one that has none gets it once its images are built.
    """
    if stack.provider() != "embedded" or all(map(images.is_expected, _UI)) or stack.knows(_UI_TYPE):
        return {}
    return {"without": "kubeflow-ui"}


def build_for(stack: Stack, settings: Settings) -> None:
    """Build the images that the stack's next update needs.

    Raises:
        StackImagesError: one could not be built.
    """
    if settings.cluster_provider not in LOADS_IMAGES or settings.layers != "all":
        return
    from mlops_stack import composition  # noqa: PLC0415 - a second, for the components

    left_out = _UI if configuration(stack) else ()
    missing = [
        name
        for name in composition.images(settings)
        if name not in left_out and not images.is_there(name)
    ]
    if not missing:
        return
    names = [images.artefact(name) for name in missing]
    command = [sys.executable, "-m", "mlops_toolchain", "build", *names]
    if subprocess.run(command, check=False).returncode:
        raise StackImagesError(
            f"stack {stack.name} needs the images {', '.join(missing)}, which could not be built; "
            "the toolchain has said why"
        )
