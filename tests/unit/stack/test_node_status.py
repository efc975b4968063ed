import dataclasses
import datetime

import pytest

from mlops_infra.node import ClusterStatus, Health, cluster
from mlops_stack import node_status
from tests.unit.infra import test_embedded_cluster

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
INFO = dataclasses.replace(test_embedded_cluster.INFO, kubeconfig="secret")
STATUS = ClusterStatus(name="dev", health=Health.HEALTHY, info=INFO)


@pytest.mark.parametrize(
    ("days", "said"),
    [(365, None), (91, None), (89, "2026-03-31, in 89 days: `make up`"), (-3, "in 0 days")],
)
def test_the_end_of_certificates_is_told_weeks_before(
    monkeypatch: pytest.MonkeyPatch, days: int, said: str | None
) -> None:
    end = NOW + datetime.timedelta(days=days)
    info = dataclasses.replace(INFO, certificates_end=end)
    monkeypatch.setattr(cluster, "read", lambda _: dataclasses.replace(STATUS, info=info))
    warning = node_status.warning("dev", NOW)
    if said is None:
        assert warning is None
    else:
        assert warning is not None
        assert said in warning


def test_a_node_that_is_not_well_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "read", lambda _: STATUS)
    assert node_status.problem("dev") is None
    dead = dataclasses.replace(STATUS, health=Health.BROKEN, reasons=("no Service is reached",))
    monkeypatch.setattr(cluster, "read", lambda _: dead)
    assert node_status.problem("dev") == "is broken: no Service is reached"


def test_a_cluster_that_is_not_there_has_no_certificates() -> None:
    assert node_status.warning("unit-test-never-booted") is None
