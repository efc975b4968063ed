"""The order of a rollout, and what a failed one leaves; engines are asked end to end."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from flight_rollout import gateway, rollout
from flight_rollout.engine import ModelServer, Version
from flight_rollout.errors import ServingError
from flight_rollout.kubectl import Access
from flight_rollout.labelled_sample import Sample
from flight_rollout.rollout import Share

SERVER = ModelServer(
    engine="seldon",
    namespace="seldon",
    server="local/server:1",
    model="flight-delay",
    credentials="store",
    artifacts="s3://artifacts/mlflow",
    log_bucket="artifacts",
    log_rate=1.0,
)
ONE, TWO = (Version(number=n, uri=f"mlflow-artifacts:/1/models/m{n}") for n in "12")
LATE = [True, False, True, False]


class Cluster:
    """Keeps manifests and routes, and notes what is done to them."""

    def __init__(self) -> None:
        self.manifests: dict[str, dict[str, Any]] = {}
        self.routes: dict[str, str] = {}
        self.version = self.pod = 0
        self.done: list[str] = []
        self.broken: set[str] = set()

    def serving(self) -> set[str]:
        return {
            body["metadata"]["labels"]["mlops-platform/version"] for body in self.manifests.values()
        }


class FakeKubectl:
    """One namespace of the cluster."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace

    def get(self, *words: str) -> list[dict[str, Any]]:
        cluster = self._cluster
        if words[0] == f"configmap/{gateway.ROUTES}":
            found = {"metadata": {"resourceVersion": str(cluster.version)}, "data": cluster.routes}
            return [found] if cluster.routes else []
        if words[0] == "deployments":
            return [{"metadata": {"name": "gateway"}}]
        if words[0] == "pods":
            return [{"metadata": {"uid": str(cluster.pod)}}]
        if words[0].startswith("seldondeployment/"):
            body = cluster.manifests[words[0].partition("/")[2]]
            broken = body["metadata"]["labels"]["mlops-platform/version"] in cluster.broken
            status = {
                "state": "Failed" if broken else "Available",
                "description": "no such file",
                "observedGeneration": 1,
                "conditions": [{"reason": "NotSupported"}] if broken else [],
            }
            return [{**body, "status": status}]
        return list(cluster.manifests.values())

    def write(self, verb: str, manifest: Mapping[str, Any]) -> str:
        cluster = self._cluster
        if manifest["kind"] == "ConfigMap":
            if verb == "replace" and manifest["metadata"]["resourceVersion"] != str(
                cluster.version
            ):
                raise ServingError("kubectl replace failed: Conflict")
            cluster.done.append("route")
            cluster.routes, cluster.version = manifest["data"], cluster.version + 1
            return gateway.ROUTES
        name = f"{manifest['metadata']['generateName']}{len(cluster.done)}"
        cluster.manifests[name] = {
            **manifest,
            "metadata": {**manifest["metadata"], "name": name, "generation": 1},
        }
        cluster.done.append(f"create {name.partition('-v')[2][0]}")
        return name

    def post(self, _service: str, _port: int, _path: str, _body: Any) -> dict[str, Any]:
        name = _service.removesuffix("-default")
        labels = self._cluster.manifests[name]["metadata"]["labels"]
        self._cluster.done.append(f"ask {labels['mlops-platform/version']}")
        return {
            "data": {"ndarray": [[0.9 if late else 0.1] for late in LATE]},
            "meta": {"tags": {"model_version": labels["mlops-platform/version"]}},
        }

    def run(self, *words: str, **_options: Any) -> str:
        if words[:2] == ("rollout", "restart"):
            self._cluster.pod += 1
        if words[0] == "delete":
            for each in words[1:-1]:
                name = each.partition("/")[2]
                del self._cluster.manifests[name]
                self._cluster.done.append(f"delete {name.partition('-v')[2][0]}")
        return ""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setattr(rollout, "Kubectl", lambda _access, namespace: FakeKubectl(made, namespace))
    return made


def _sample() -> Sample:
    return Sample(rows=[{"carrier": "UA"}] * len(LATE), late=LATE)


def _roll_out(*shares: tuple[Version, int], sample: Callable[[], Sample] = _sample) -> list[str]:
    served = rollout.roll_out(
        [Share(version=version, percent=percent) for version, percent in shares],
        [SERVER],
        access=Access(),
        sample=sample,
        say=lambda _line: None,
    )
    return [f"{each.version} {each.percent} %" for each in served]


def test_a_version_is_asked_before_it_gets_requests_and_the_old_one_goes_last(
    cluster: Cluster,
) -> None:
    _roll_out((ONE, 100))
    cluster.done.clear()
    assert _roll_out((TWO, 100)) == ["2 100 %"]
    assert cluster.done == ["create 2", "ask 2", "route", "delete 1"]
    assert cluster.serving() == {"2"}


def test_a_version_that_serves_already_is_only_asked(cluster: Cluster) -> None:
    _roll_out((ONE, 100))
    cluster.done.clear()
    _roll_out((ONE, 100))
    assert cluster.done == ["ask 1"]


def test_a_canary_gets_its_share_beside_the_champion(cluster: Cluster) -> None:
    _roll_out((ONE, 100))
    assert _roll_out((TWO, 20), (ONE, 80)) == ["2 20 %", "1 80 %"]
    assert cluster.serving() == {"1", "2"}
    assert "  20% flight-delay-v2-" in cluster.routes["splits.conf"]
    assert "  * flight-delay-v1-" in cluster.routes["splits.conf"]


def test_what_fails_is_removed_and_what_served_serves_on(cluster: Cluster) -> None:
    _roll_out((ONE, 100))
    routes = cluster.routes
    cluster.broken.add("2")
    with pytest.raises(ServingError, match=r"flight-delay-v2-.* does not serve: no such file"):
        _roll_out((TWO, 100))
    assert cluster.serving() == {"1"}
    assert cluster.routes == routes


def test_of_two_rollouts_at_once_the_second_takes_back_what_it_made(cluster: Cluster) -> None:
    _roll_out((ONE, 100))

    def meanwhile() -> Sample:
        cluster.version += 1
        return _sample()

    with pytest.raises(ServingError, match="another rollout changed the gateway's routes"):
        _roll_out((TWO, 100), sample=meanwhile)
    assert cluster.serving() == {"1"}


def test_everything_can_be_removed(cluster: Cluster) -> None:
    _roll_out((TWO, 20), (ONE, 80))
    rollout.remove([SERVER], access=Access())
    assert not cluster.manifests


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("mlflow-artifacts:/1/models/m", "s3://artifacts/mlflow/1/models/m"),
        ("s3://elsewhere/m", "s3://elsewhere/m"),
    ],
)
def test_the_address_of_a_versions_files(uri: str, address: str) -> None:
    assert Version(number="1", uri=uri).address("s3://artifacts/mlflow") == address
