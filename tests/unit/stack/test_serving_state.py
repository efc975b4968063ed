"""What `make status` says of the engines, and what `make up` mends."""

import http.server
import threading
from collections.abc import Callable
from dataclasses import asdict

import pytest

from mlops_rollout.kubectl import Access
from mlops_stack import serving_state
from mlops_stack.outputs import StackOutputs
from mlops_stack.serving_state import RepairError
from mlops_workloads.flight_delay_commands import FlightDelayCommands
from tests.unit.mlops_rollout import fake
from tests.unit.mlops_rollout.fake import SERVER, Cluster, FakeRegistry

HAS = {
    "model_name": "flight-delay",
    "model_servers": [asdict(SERVER)],
    "seldon_url": "http://127.0.0.1:9",
}
OUTPUTS = StackOutputs(workloads={"flight-delay": HAS})


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = fake.world(monkeypatch)
    made.aliases["champion"] = "1"
    of = (FakeRegistry(made), [SERVER], Access())
    monkeypatch.setattr(serving_state, "_of", lambda _outputs, _has: of)
    monkeypatch.setattr(FlightDelayCommands, "sample", lambda _self, _rows=0: fake.sample())
    return made


def _said() -> str | None:
    return serving_state.probes(OUTPUTS)["Serving"]()


def test_what_serves_as_the_registry_says_is_left_alone(cluster: Cluster) -> None:
    serving_state.repair(OUTPUTS)
    assert _said() is None
    cluster.done.clear()
    serving_state.repair(OUTPUTS)
    assert not cluster.done


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda c: c.manifests.clear(), "no server of version 1"),
        (lambda c: c.objects.clear(), "the gateway's routes are not what the registry says"),
        (lambda c: c.aliases.update(champion="2"), "no server of version 2"),
    ],
    ids=["servers are gone", "routes are gone", "another champion"],
)
def test_what_is_gone_is_said_and_the_next_up_mends_it(
    cluster: Cluster, change: Callable[[Cluster], object], problem: str
) -> None:
    serving_state.repair(OUTPUTS)
    change(cluster)
    said = _said()
    assert said
    assert problem in said
    assert said.endswith("; `make up` mends it")
    serving_state.repair(OUTPUTS)
    assert _said() is None
    assert cluster.loaded == cluster.routes


def test_a_version_that_does_not_serve_ends_the_command_with_its_reason(cluster: Cluster) -> None:
    cluster.broken.add("1")
    with pytest.raises(RepairError, match="does not serve: no such file"):
        serving_state.repair(OUTPUTS)


def test_a_stack_without_a_champion_has_nothing_to_mend(cluster: Cluster) -> None:
    del cluster.aliases["champion"]
    serving_state.repair(OUTPUTS)
    assert not cluster.done


def test_a_stack_that_serves_nothing_is_not_asked() -> None:
    assert serving_state.probes(StackOutputs(mlflow_url="http://127.0.0.1:9")) == {}


def test_an_engine_is_asked_for_a_prediction_not_for_its_health(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FlightDelayCommands, "sample", lambda _self, _rows=0: fake.sample())

    class Healthy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    servers = [asdict(SERVER), {**asdict(SERVER), "engine": "kserve"}]
    url = f"http://127.0.0.1:{server.server_port}"
    has = {**HAS, "model_servers": servers, "kserve_url": url}
    outputs = StackOutputs(workloads={"flight-delay": has})
    probes = serving_state.probes(outputs)
    for name in ("KServe", "Seldon"):
        said = probes[name]()
        assert said
        assert said.startswith("does not answer at http://127.0.0.1:")
    server.shutdown()
