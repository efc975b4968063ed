"""Fixtures of the conformance suite.

The suite drives any plugin executable against any cluster:

    pytest tests/conformance --plugin PATH --conformance-kubeconfig PATH

By default the plugin is ours, and the cluster a control plane of the suite's own, without nodes.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.cluster import Cluster, connect
from tests.conformance.control_plane import control_plane
from tests.conformance.protocol import Plugin, Resource
from tests.conformance.tools import SEARCH

Make = Callable[..., Resource]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--plugin",
        default=os.environ.get("CONFORMANCE_PLUGIN", ""),
        help="plugin executable to test; ours when left out ($CONFORMANCE_PLUGIN)",
    )
    parser.addoption(
        "--conformance-kubeconfig",
        default=os.environ.get("CONFORMANCE_KUBECONFIG", ""),
        help="cluster to test against; a control plane of its own when left out "
        "($CONFORMANCE_KUBECONFIG)",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest test come first, so that the others run beside it."""
    items.sort(key=lambda item: item.path.stem != "test_rehearsal")


def _option(request: pytest.FixtureRequest, name: str, variable: str) -> str:
    # In a run of the whole tree, pytest meets this file too late to know its options.
    return str(request.config.getoption(name, default=os.environ.get(variable, "")))


@pytest.fixture(scope="session", autouse=True)
def _programs() -> Iterator[None]:
    """Let plugins find the programs that the suite finds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", SEARCH)
        yield


@pytest.fixture(scope="session")
def plugin_command(request: pytest.FixtureRequest) -> list[str]:
    given = _option(request, "--plugin", "CONFORMANCE_PLUGIN")
    return [given] if given else [sys.executable, "-m", "mlops_kubernetes"]


@pytest.fixture(scope="session")
def kubeconfig(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    given = _option(request, "--conformance-kubeconfig", "CONFORMANCE_KUBECONFIG")
    if given:
        yield Path(given)
        return
    with control_plane(tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane.kubeconfig


@pytest.fixture(scope="session")
def cluster(kubeconfig: Path) -> Iterator[Cluster]:
    seen = connect(kubeconfig)
    yield seen
    seen.http.close()


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    name = cluster.namespace()
    yield name
    cluster.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def start(plugin_command: list[str], tmp_path: Path) -> Iterator[Callable[..., Plugin]]:
    """Starts plugins with other provider arguments than the usual ones."""
    started: list[Plugin] = []

    def begin(**arguments: object) -> Plugin:
        plugin = Plugin(plugin_command, tmp_path)
        started.append(plugin)
        plugin.configure(**arguments)
        return plugin

    yield begin
    for plugin in started:
        plugin.stop()


@pytest.fixture(scope="module")
def plugin(
    plugin_command: list[str], kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plugin]:
    """A plugin that is configured for the cluster and shared by a module's tests."""
    running = Plugin(plugin_command, tmp_path_factory.mktemp("plugin"))
    running.configure(kubeconfig=str(kubeconfig))
    yield running
    running.stop()


@pytest.fixture
def make(plugin: Plugin) -> Make:
    """Makes resources of the shared plugin: `make("kubernetes:core/v1:ConfigMap", "conf")`."""

    def new(token: str, name: str = "thing", on: Plugin | None = None) -> Resource:
        return Resource(plugin=on or plugin, token=token, name=name)

    return new
