"""`make status`: what the stack has, and whether it answers."""

from functools import partial

from mlops_infra.endpoint import Endpoint
from mlops_rollout.engines import ENGINES
from mlops_stack import node_status, probes, report, workload_choice
from mlops_stack.outputs import StackOutputs, WorkloadOutputs
from mlops_stack.pulumi_cli import Stack
from mlops_stack.serving import TITLES

_HEADLINE = ("roc_auc", "average_precision", "brier_score", "log_loss", "base_rate")


def rows(stack: str, outputs: StackOutputs) -> list[tuple[str, str]]:
    """Return what a user wants to see of the stack's outputs, without its secrets."""
    workloads = workload_choice.all_of(outputs)
    titles = workload_choice.titles_of(workloads)
    kubeconfig = f"pulumi stack output kubeconfig --show-secrets --stack {stack}"
    return [
        *(row for each in outputs.endpoints for row in _endpoint_row(stack, each)),
        *(row for each, has in workloads for row in _run_row(titles[each.NAME], outputs, has)),
        *(row for each, has in workloads for row in _model_rows(titles[each.NAME], outputs, has)),
        ("kubectl", f". ./env.sh; kubectl --kubeconfig <({kubeconfig}) get pods --all-namespaces"),
    ]


def _endpoint_row(stack: str, endpoint: Endpoint) -> list[tuple[str, str]]:
    if not endpoint.url:
        return [(endpoint.name, endpoint.absent)] if endpoint.absent else []
    if not endpoint.sign_in:
        return [(endpoint.name, endpoint.url)]
    link = f"pulumi stack output {endpoint.sign_in} --show-secrets --stack {stack}"
    return [(endpoint.name, f"{endpoint.url}; with its token: . ./env.sh; {link}")]


def _model_rows(of: str, outputs: StackOutputs, has: WorkloadOutputs) -> list[tuple[str, str]]:
    version = has.model_version
    if not version:  # a stack whose pipeline does not run by itself
        return []
    url, name = outputs.mlflow_url, has.model_name
    metrics = has.model_metrics.items()
    shown = [f"{m} {value:.3f}" for m, value in sorted(metrics) if m in _HEADLINE]
    return [
        (f"Model{of}", f"{name} version {version}: {url}/#/models/{name}/versions/{version}"),
        (f"Metrics{of}", ", ".join(shown) or "-"),
        *_serving_rows(of, has),
    ]


def _serving_rows(of: str, has: WorkloadOutputs) -> list[tuple[str, str]]:
    names = {server.engine: server.name for server in has.servers}
    return [
        (f"{title}{of}", f"curl {url}/{path}; see docs/serving.md")
        for engine, title in TITLES.items()
        if (url := has.model_url(engine))
        for path, _ in [ENGINES[engine].request(names[engine], [{}])]
    ]


def _run_row(of: str, outputs: StackOutputs, has: WorkloadOutputs) -> list[tuple[str, str]]:
    run, ui = has.pipeline_run, outputs.kubeflow_ui_url
    if not run:
        return []
    link = f": {ui}/#/runs/details/{run}" if ui else ""
    seconds = f"{has.pipeline_seconds:.0f}"
    return [(f"Pipeline{of}", f"{has.pipeline_version} ran in {seconds} s{link}")]


def status(stack: Stack) -> bool:
    """Print the stack's endpoints and whether each answers; return whether all do.

    Raises:
        PulumiError: the stack is not up.
        SettingsError: its configuration is wrong.
    """
    # The last thing that an update of these layers brings up and shows.
    needed = "mlflow_url" if stack.settings().layers == "all" else "s3_url"
    outputs = StackOutputs.read(stack.outputs_when_up(needed))
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
