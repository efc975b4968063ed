"""`make status`: what the stack has, and whether it answers."""

from typing import Any

import httpx

from mlops_stack import report
from mlops_stack.pulumi_cli import PulumiError, Stack

_TIMEOUT_SECONDS = 5


def rows(outputs: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a user wants to see of the stack's outputs, without its secrets."""
    metrics: dict[str, float] = outputs.get("model_metrics") or {}
    shown = [f"{name} {metrics[name]:.3f}" for name in sorted(metrics) if name in _HEADLINE]
    return [
        ("MLflow", str(outputs.get("mlflow_url", "-"))),
        ("S3", str(outputs.get("s3_url", "-"))),
        ("Model", f"{outputs.get('model_name')} version {outputs.get('model_version')}"),
        ("Metrics", ", ".join(shown) or "-"),
        ("Run", _run_url(outputs)),
        ("kubectl", "kubectl --kubeconfig <(pulumi stack output kubeconfig --show-secrets)"),
    ]


_HEADLINE = ("roc_auc", "average_precision", "brier_score", "log_loss", "base_rate")


def _run_url(outputs: dict[str, Any]) -> str:
    if not outputs.get("model_run"):
        return "-"
    return f"{outputs['mlflow_url']}/#/experiments/1/runs/{outputs['model_run']}"


def status(stack: Stack) -> bool:
    """Print the stack's endpoints and whether each answers; return whether all do.

    Raises:
        PulumiError: the stack is not up.
    """
    if not stack.exists() or not (outputs := stack.outputs()).get("mlflow_url"):
        raise PulumiError(f"stack {stack.name} is not up; run `make up STACK={stack.name}`")
    report.table(rows(outputs))
    probes = {
        "MLflow": f"{outputs['mlflow_url']}/health",
        "S3": f"{outputs['s3_url']}/health",
    }
    healthy = True
    for name, url in probes.items():
        answer = _probe(url)
        healthy = healthy and answer == "answers"
        report.plain(f"{'✓' if answer == 'answers' else '✗'} {name} {answer}")
    return healthy


def _probe(url: str) -> str:
    try:
        httpx.get(url, timeout=_TIMEOUT_SECONDS).raise_for_status()
    except httpx.HTTPError as problem:
        return f"does not answer ({type(problem).__name__}); run `make up` to restart it"
    return "answers"
