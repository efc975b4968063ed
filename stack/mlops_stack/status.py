"""`make status`: what the stack has, and whether it answers."""

from functools import partial
from typing import Any

from mlops_stack import node_status, probes, report
from mlops_stack.pulumi_cli import Stack

_HEADLINE = ("roc_auc", "average_precision", "brier_score", "log_loss", "base_rate")


def rows(stack: str, outputs: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a user wants to see of the stack's outputs, without its secrets."""
    kubeconfig = f"pulumi stack output kubeconfig --show-secrets --stack {stack}"
    return [
        *_platform_rows(outputs),
        ("S3", outputs.get("s3_url", "-")),
        *_notebook_row(stack, outputs),
        *_run_row(outputs),
        *_model_rows(outputs),
        ("kubectl", f". ./env.sh; kubectl --kubeconfig <({kubeconfig}) get pods --all-namespaces"),
    ]


def _platform_rows(outputs: dict[str, Any]) -> list[tuple[str, str]]:
    if "mlflow_url" not in outputs:  # a stack of infra alone
        return []
    return [
        ("MLflow", outputs["mlflow_url"]),
        (
            "Kubeflow UI",
            outputs.get("kubeflow_ui_url") or "not built yet; `make toolchain`, then `make up`",
        ),
        ("Kubeflow API", outputs.get("kubeflow_url", "-")),
    ]


def _notebook_row(stack: str, outputs: dict[str, Any]) -> list[tuple[str, str]]:
    address = outputs.get("notebook_address")
    if not address:
        return []
    link = f"pulumi stack output notebook_url --show-secrets --stack {stack}"
    return [("Notebook", f"{address}; with its token: . ./env.sh; {link}")]


def _model_rows(outputs: dict[str, Any]) -> list[tuple[str, str]]:
    version = outputs.get("model_version")
    if not version:  # a stack whose pipeline does not run by itself
        return []
    url, name = outputs["mlflow_url"], outputs["model_name"]
    metrics: dict[str, float] = outputs.get("model_metrics") or {}
    shown = [f"{m} {value:.3f}" for m, value in sorted(metrics.items()) if m in _HEADLINE]
    return [
        ("Model", f"{name} version {version}: {url}/#/models/{name}/versions/{version}"),
        ("Metrics", ", ".join(shown) or "-"),
        *_serving_rows(outputs),
    ]


def _serving_rows(outputs: dict[str, Any]) -> list[tuple[str, str]]:
    engines = (
        ("KServe", outputs.get("kserve_url"), "v2/models/flight-delay/infer"),
        ("Seldon", outputs.get("seldon_url"), "api/v1.0/predictions"),
    )
    return [
        (engine, f"curl {url}/{path}; see docs/serving.md") for engine, url, path in engines if url
    ]


def _run_row(outputs: dict[str, Any]) -> list[tuple[str, str]]:
    run, ui = outputs.get("pipeline_run"), outputs.get("kubeflow_ui_url")
    if not run:
        return []
    link = f": {ui}/#/runs/details/{run}" if ui else ""
    return [
        (
            "Pipeline",
            f"{outputs['pipeline_version']} ran in {outputs['pipeline_seconds']:.0f} s{link}",
        )
    ]


def status(stack: Stack) -> bool:
    """Print the stack's endpoints and whether each answers; return whether all do.

    Raises:
        PulumiError: the stack is not up.
        SettingsError: its configuration is wrong.
    """
    # The last thing that an update of these layers brings up and shows.
    needed = "mlflow_url" if stack.settings().layers == "all" else "s3_url"
    outputs = stack.outputs_when_up(needed)
    report.table(rows(stack.name, outputs))
    healthy = True
    asked = probes.of(outputs)
    embedded = stack.settings().cluster_provider == "embedded"
    if embedded:
        # First: when no Service is reached, this tells why nothing below answers.
        asked = {"Cluster": partial(node_status.problem, stack.name), **asked}
    for name, probe in asked.items():
        problem = probe()
        healthy = healthy and problem is None
        report.plain(f"✓ {name} answers" if problem is None else f"✗ {name} {problem}")
    if embedded and (warning := node_status.warning(stack.name)):
        report.plain(f"⚠ {warning}")
    return healthy
