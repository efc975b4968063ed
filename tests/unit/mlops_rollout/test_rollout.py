"""The order of a rollout, and what a failed one leaves; engines are asked end to end."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from mlops_rollout import gateway, rollout
from mlops_rollout.engine import ModelServer, Version
from mlops_rollout.errors import ServingError
from mlops_rollout.kubectl import Access, Kubectl
from mlops_rollout.rollout import TrafficShare
from mlops_rollout.sample import Sample
from tests.unit.mlops_rollout.fake import ONE, SERVER, TWO, Cluster, FakeKubectl, sample


def _roll_out(
    *shares: tuple[Version, int],
    flights: Callable[[], Sample] = sample,
    server: ModelServer = SERVER,
    record: dict[str, str] | None = None,
) -> list[str]:
    served = rollout.roll_out(
        [TrafficShare(version=version, percent=percent) for version, percent in shares],
        [server],
        access=Access(),
        sample=flights,
        say=lambda _line: None,
        record=record,
    )
    rollout.remove_others(served, [server], access=Access())
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
    splits = cluster.routes["splits.conf.flight-delay"]
    assert "  20% flight-delay-v2-" in splits
    assert "  * flight-delay-v1-" in splits


def test_two_models_share_the_gateway_and_leave_each_other_alone(cluster: Cluster) -> None:
    other = replace(SERVER, name="other", model="other model")
    _roll_out((ONE, 100), record={"champion": "1"})
    first = dict(cluster.routes)
    _roll_out((ONE, 100), server=other, record={"champion": "7"})
    assert first.items() < cluster.routes.items()
    assert cluster.asked() == set(cluster.manifests)
    second = {name: text for name, text in cluster.routes.items() if name not in first}
    _roll_out((TWO, 100))
    assert second.items() < cluster.routes.items()
    assert cluster.asked() == set(cluster.manifests)
    names = sorted(name.partition("-v")[0] for name in cluster.manifests)
    assert names == ["flight-delay", "other"]
    kubectl = cast(Kubectl, FakeKubectl(cluster, gateway.NAMESPACE))
    assert gateway.read(kubectl).records == {
        "flight-delay": {"champion": "1"},
        "other": {"champion": "7"},
    }
    rollout.forget([other], access=Access())
    assert cluster.serving() == {"2"}
    assert cluster.routes == cluster.loaded
    assert not second.keys() & cluster.routes.keys()
    assert cluster.asked() == set(cluster.manifests)
    assert gateway.read(kubectl).records == {"flight-delay": {"champion": "1"}}


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
        cluster.objects[gateway.ROUTES]["metadata"]["resourceVersion"] = "of another"
        return sample()

    with pytest.raises(ServingError, match="another rollout changed the gateway's routes"):
        _roll_out((TWO, 100), flights=meanwhile)
    assert cluster.serving() == {"1"}


def test_a_gateway_that_does_not_take_the_routes_has_those_of_before_again(
    cluster: Cluster,
) -> None:
    _roll_out((ONE, 100))
    routes = cluster.routes
    cluster.slow = ["not"]
    with pytest.raises(ServingError, match="timed out waiting"):
        _roll_out((TWO, 100))
    assert cluster.routes == cluster.loaded == routes
    assert cluster.serving() == {"1"}


def test_a_version_that_the_gateway_may_ask_is_not_removed(cluster: Cluster) -> None:
    _roll_out((ONE, 100))
    # The new Pod sends requests to version 2, and the one of before does not come back.
    cluster.slow = ["read", "not"]
    with pytest.raises(ServingError, match="timed out waiting"):
        _roll_out((TWO, 100))
    assert cluster.serving() == {"1", "2"}
    assert cluster.asked() == set(cluster.manifests)
    _roll_out((ONE, 100))
    assert cluster.serving() == {"1"}
    assert cluster.asked() == set(cluster.manifests)


def test_everything_can_be_removed(cluster: Cluster) -> None:
    _roll_out((TWO, 20), (ONE, 80))
    rollout.forget([SERVER], access=Access())
    assert not cluster.manifests
    assert not cluster.loaded
    # Again, and where there never was a gateway's route.
    rollout.forget([SERVER], access=Access())


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("mlflow-artifacts:/1/models/m", "s3://artifacts/mlflow/1/models/m"),
        ("s3://elsewhere/m", "s3://elsewhere/m"),
    ],
)
def test_the_address_of_a_versions_files(uri: str, address: str) -> None:
    assert Version(number="1", uri=uri).address("s3://artifacts/mlflow") == address
