"""What only the official plugin does is refused with its name. Not for runs against that plugin."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import Make
from tests.conformance.protocol import CheckFailedError, OperationFailedError, Plugin

REMEDY = "official plugin"


@pytest.fixture(autouse=True)
def _only_ours(plugin_command: list[str]) -> None:
    if "mlops_kubernetes" not in plugin_command:
        pytest.skip("the official plugin supports what ours refuses")


def test_helm_releases(make: Make) -> None:
    with pytest.raises(CheckFailedError, match=REMEDY):
        make("kubernetes:helm.sh/v3:Release").check({"chart": "nginx"})


@pytest.mark.parametrize(
    "arguments", [{"renderYamlToDirectory": "out"}, {"enableServerSideApply": "false"}]
)
def test_rendering_and_client_side_apply(plugin: Plugin, arguments: dict[str, Any]) -> None:
    (reason,) = plugin.check_config(**arguments).values()
    assert REMEDY in reason


def test_an_unknown_argument_is_refused_with_the_valid_ones(plugin: Plugin) -> None:
    failures = plugin.check_config(kubecofnig="x")
    assert "kubeconfig" in failures["kubecofnig"]


def test_remote_charts_manifests_and_kustomizations(plugin: Plugin) -> None:
    for token, inputs in (
        ("kubernetes:helm.sh/v4:Chart", {"chart": "nginx"}),
        ("kubernetes:yaml/v2:ConfigFile", {"file": "https://conformance.invalid/x.yaml"}),
        ("kubernetes:kustomize/v2:Directory", {"directory": "https://conformance.invalid/x"}),
        ("kubernetes:helm.sh/v5:Chart", {"chart": "nginx"}),
    ):
        with pytest.raises(OperationFailedError, match=REMEDY):
            plugin.construct(token, "app", inputs)


def test_unknown_functions(plugin: Plugin) -> None:
    with pytest.raises(OperationFailedError, match=REMEDY):
        plugin.invoke("kubernetes:helm:frobnicate", {})


def test_a_missing_helm_is_named(
    start: Callable[..., Plugin], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    chart = tmp_path / "chart"
    chart.mkdir()
    plugin = start(kubeconfig="/nowhere")
    with pytest.raises(OperationFailedError, match="helm is not on PATH"):
        plugin.construct("kubernetes:helm.sh/v4:Chart", "app", {"chart": str(chart)})


def test_a_list_of_objects_is_no_resource(make: Make) -> None:
    with pytest.raises(CheckFailedError, match="ConfigGroup"):
        make("kubernetes:core/v1:ConfigMapList").check(
            {"apiVersion": "v1", "kind": "ConfigMapList", "items": []}
        )
