"""When a cluster that does not answer is waited for, and when it is started again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mlops_infra.node import boot, cluster
from mlops_infra.node.cluster import ClusterStatus, Health
from mlops_infra.node.layout import StateFolder
from mlops_infra.node.spec import NodeSpec
from mlops_infra.node.state import Phase, Record

RECORD = Record(spec=NodeSpec(name="dev"), network="10.211.0.0/16", owner="/src", phase=Phase.READY)


@dataclass
class Trial:
    """A cluster whose condition depends on the time, of which each look takes a second."""

    health: Callable[[float], Health]
    missing: Callable[[float], bool] = lambda _now: False
    only_services: bool = False
    now: float = 0.0
    restarted: list[str] = field(default_factory=list)

    def read(self, name: str) -> ClusterStatus:
        return ClusterStatus(name=name, health=self.health(self.now))

    def sleep(self, _seconds: float) -> None:
        self.now += 1

    def restart_kube_proxy(self) -> None:
        self.restarted.append("kube-proxy")

    cgroups = None


@pytest.fixture
def recovers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Trial], bool]:
    def run(trial: Trial) -> bool:
        monkeypatch.setattr(cluster, "read", trial.read)
        monkeypatch.setattr(cluster.time, "monotonic", lambda: trial.now)
        monkeypatch.setattr(cluster.time, "sleep", trial.sleep)
        monkeypatch.setattr(
            boot, "missing_programs", lambda _: ("etcd",) if trial.missing(trial.now) else ()
        )
        monkeypatch.setattr(cluster, "_only_services", lambda *_: trial.only_services)
        return cluster._recovers(RECORD, StateFolder(path=tmp_path), trial)  # type: ignore[arg-type]

    return run


def broken_until(second: float) -> Callable[[float], Health]:
    return lambda now: Health.HEALTHY if now >= second else Health.BROKEN


def test_a_healthy_cluster_is_not_waited_for(recovers: Callable[[Trial], bool]) -> None:
    trial = Trial(health=broken_until(0))
    assert recovers(trial)
    assert trial.now == 0


def test_a_slow_cluster_whose_programs_all_run_has_two_minutes(
    recovers: Callable[[Trial], bool],
) -> None:
    # A stopped API server, or two cores busy with training: a restart would end every run
    assert recovers(Trial(health=broken_until(100)))
    trial = Trial(health=broken_until(1000))
    assert not recovers(trial)
    assert 120 <= trial.now <= 123


def test_a_program_that_stays_away_is_not_waited_for_so_long(
    recovers: Callable[[Trial], bool],
) -> None:
    trial = Trial(health=broken_until(100), missing=lambda _now: True)
    assert not recovers(trial)
    assert 20 <= trial.now <= 23


def test_a_program_that_comes_back_is_as_good_as_one_that_runs(
    recovers: Callable[[Trial], bool],
) -> None:
    # The supervisor and the kubelet start what has ended
    assert recovers(Trial(health=broken_until(60), missing=lambda now: now % 15 < 10))


def test_services_that_lead_nowhere_are_written_again_once(
    recovers: Callable[[Trial], bool],
) -> None:
    trial = Trial(health=broken_until(12), only_services=True)
    assert recovers(trial)
    assert trial.restarted == ["kube-proxy"]
    trial = Trial(health=broken_until(12))
    assert recovers(trial)
    assert trial.restarted == []
