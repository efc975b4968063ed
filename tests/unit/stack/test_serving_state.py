"""What `make status` says of the engines, and what `make up` mends."""

import http.server
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from flight_rollout import labelled_sample
from flight_rollout.kubectl import Access
from mlops_stack import serving_state
from mlops_stack.outputs import StackOutputs
from mlops_stack.serving_state import RepairError
from mlops_workloads import rollout
from tests.unit.flight_rollout import fake
from tests.unit.flight_rollout.fake import SERVER, Cluster, FakeRegistry

OUTPUTS = StackOutputs(seldon_url="http://127.0.0.1:9")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = fake.world(monkeypatch)
    made.aliases["champion"] = "1"
    of = (FakeRegistry(made), [SERVER], Access())
    monkeypatch.setattr(serving_state, "_of", lambda _outputs: of)
    monkeypatch.setattr(rollout, "sample", fake.sample)
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
    monkeypatch.setattr(labelled_sample, "read", lambda *_, **__: fake.sample())

    class Healthy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    outputs = replace(OUTPUTS, kserve_url=f"http://127.0.0.1:{server.server_port}")
    probes = serving_state.probes(outputs)
    for name in ("KServe", "Seldon"):
        said = probes[name]()
        assert said
        assert said.startswith("does not answer at http://127.0.0.1:")
    server.shutdown()
