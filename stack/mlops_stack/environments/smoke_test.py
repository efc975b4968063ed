"""Whether an environment does what its template promises."""

import httpx

from mlops_infra import direct
from mlops_stack import report, workload_choice
from mlops_stack.outputs import StackOutputs, WorkloadOutputs
from mlops_stack.pulumi_cli import Stack
from mlops_stack.settings import Settings
from mlops_stack.status import status

_TIMEOUT_SECONDS = 30


def smoke_test(stack: Stack, settings: Settings) -> bool:
    """Print and return whether the smoke test passes.

    It passes when every service of the template's layers answers, and, where the template runs the
    pipeline, when the model that the run made is in the registry.

    Args:
        stack: the environment's stack, which is up.
        settings: what its template configures.

    Raises:
        PulumiError: the stack is not up.
    """
    healthy = status(stack)
    if settings.layers == "all" and settings.pipeline_run:
        healthy = _models_are_registered(stack) and healthy
    return healthy


def _models_are_registered(stack: Stack) -> bool:
    outputs = StackOutputs.read(stack.outputs())
    # Each is asked, so that each that fails is told.
    found = [_model_is_registered(outputs, each) for _, each in workload_choice.all_of(outputs)]
    if not found:
        report.plain("✗ the stack has no workload")
    return bool(found) and all(found)


def _model_is_registered(outputs: StackOutputs, has: WorkloadOutputs) -> bool:
    name, version = has.model_name, has.model_version
    if not version:
        report.plain("✗ the stack's pipeline has registered no model")
        return False
    try:
        with direct.client(timeout=_TIMEOUT_SECONDS) as client:
            answer = client.get(
                f"{outputs.mlflow_url}/api/2.0/mlflow/model-versions/get",
                params={"name": name, "version": version},
            )
        answer.raise_for_status()
    except httpx.HTTPError as problem:
        report.plain(f"✗ {name} version {version} cannot be read from the registry: {problem!r}")
    else:
        report.plain(f"✓ {name} version {version} is in the registry")
        return True
    return False
