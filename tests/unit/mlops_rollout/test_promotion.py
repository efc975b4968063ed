"""What serves and what the registry says agree, wherever a rollout is cut off."""

from collections.abc import Callable
from typing import cast

import pytest

from mlops_rollout import gateway, lease, promotion
from mlops_rollout.errors import ServingError
from mlops_rollout.kubectl import Access, Kubectl
from mlops_rollout.promotion import Decide, Decision
from tests.unit.mlops_rollout.fake import (
    SERVER,
    Cluster,
    FakeKubectl,
    FakeRegistry,
    Killed,
    Time,
    registered,
    sample,
    world,
)

Command = Callable[[Cluster], None]


def _serve(cluster: Cluster, decide: Decide) -> None:
    promotion.serve(
        decide,
        registry=FakeRegistry(cluster),
        servers=[SERVER],
        access=Access(),
        sample=sample,
        say=lambda _line: None,
    )


def _as_registered(cluster: Cluster) -> None:
    registry = FakeRegistry(cluster)
    _serve(cluster, lambda _completed: promotion.registered(registry, print))


def _replace(cluster: Cluster) -> None:
    _serve(cluster, lambda _: Decision(champion=registered(FakeRegistry(cluster), "2")))


def _back(cluster: Cluster) -> None:
    _serve(cluster, lambda _: Decision(champion=registered(FakeRegistry(cluster), "1")))


def _try(cluster: Cluster) -> None:
    registry = FakeRegistry(cluster)
    one, two = registered(registry, "1"), registered(registry, "2")
    _serve(cluster, lambda _: Decision(champion=one, challenger=two, percent=20))


def _differences(cluster: Cluster) -> list[str]:
    registry = FakeRegistry(cluster)
    return promotion.differences(registry, [SERVER], access=Access(), say=print)


@pytest.fixture
def served(cluster: Cluster) -> Cluster:
    """Version 1 serves, and is the champion."""
    cluster.aliases["champion"] = "1"
    _as_registered(cluster)
    assert not _differences(cluster)
    return cluster


def _begin_trial(cluster: Cluster) -> None:
    _try(cluster)
    assert not _differences(cluster)


@pytest.mark.parametrize(
    ("before", "command"),
    [
        ([], _replace),
        ([], _try),
        ([_begin_trial], _replace),
        ([_begin_trial], _back),
    ],
    ids=["another champion", "a trial begins", "a trial is promoted", "a trial is rolled back"],
)
def test_wherever_it_is_killed_nothing_is_lost_and_the_next_command_mends_it(
    monkeypatch: pytest.MonkeyPatch, before: list[Command], command: Command
) -> None:
    points = 0
    while True:
        made = world(monkeypatch)
        made.aliases["champion"] = "1"
        _as_registered(made)
        for each in before:
            each(made)
        points += 1
        made.dies_at = made.calls + points
        try:
            command(made)
        except (Killed, ServingError):
            assert made.dead
        if not made.dead:
            break
        # Also of a gateway that starts again, and reads its routes again.
        assert made.asked() <= set(made.manifests), points
        assert made.asked(), points
        made.dead, made.dies_at = False, 0
        _as_registered(made)
        assert not _differences(made), points
        assert made.loaded == made.routes
        assert made.asked() == set(made.manifests), points
        assert made.aliases["champion"] in made.serving()
    assert points > 10


def test_a_rollout_that_is_cut_off_after_its_routes_is_completed(served: Cluster) -> None:
    registry = FakeRegistry(served)
    record = registry.record

    def killed(**_: object) -> None:
        raise Killed

    registry.record = killed  # type: ignore[method-assign]
    two = registered(registry, "2")
    with pytest.raises(Killed):
        promotion.serve(
            lambda _: Decision(champion=two),
            registry=registry,
            servers=[SERVER],
            access=Access(),
            sample=sample,
            say=print,
        )
    assert served.aliases["champion"] == "1"
    (line,) = _differences(served)
    assert line == "a rollout was cut off before the registry knew: version 2 is the champion"
    registry.record = record  # type: ignore[method-assign]
    _as_registered(served)
    assert served.aliases["champion"] == "2"
    assert served.serving() == {"2"}
    assert not _differences(served)


def test_what_somebody_decided_since_is_not_undone(served: Cluster) -> None:
    routes = served.objects[gateway.ROUTES]["metadata"]["annotations"]
    routes["mlops-platform/rollout"] = (
        '{"champion": "2", "challenger": "", "percent": 0, "before": "", "noted": false}'
    )
    _as_registered(served)
    assert served.aliases["champion"] == "1"
    assert not _differences(served)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda c: c.manifests.clear(), "no server of version 1 as the stack describes it"),
        (lambda c: c.broken.add("1"), "does not serve: no such file"),
        (lambda c: c.aliases.update(champion="2"), "no server of version 2"),
        (
            lambda c: c.objects[gateway.ROUTES]["data"].clear(),
            "the gateway's routes are not what the registry says",
        ),
        (lambda c: c.template.clear(), "the gateway has not read its routes of now"),
    ],
)
def test_what_is_gone_or_other_is_said(
    served: Cluster, change: Callable[[Cluster], object], line: str
) -> None:
    change(served)
    assert any(line in each for each in _differences(served)), _differences(served)
    if not served.broken:
        _as_registered(served)
        assert not _differences(served)


@pytest.mark.parametrize("tag", ["250", "-1", "9" * 5000, "x", "", "0", "1e1"])
def test_a_share_that_is_none_is_said_and_the_champion_serves(served: Cluster, tag: str) -> None:
    served.aliases["challenger"], served.tags["2"] = "2", tag
    said: list[str] = []
    decision = promotion.registered(FakeRegistry(served), said.append)
    assert decision.challenger is None
    if tag != "0":
        (line,) = said
        assert "version 2's tag canary_percent is" in line
        assert "make canary VERSION=2" in line
        assert len(line) < 200


def _kubectl(cluster: Cluster) -> Kubectl:
    return cast(Kubectl, FakeKubectl(cluster, gateway.NAMESPACE))


def _held(cluster: Cluster, time: Time, said: list[str]) -> lease.Lease:
    kubectl = _kubectl(cluster)
    with lease.held(kubectl, say=said.append, pause=time.sleep, clock=time.monotonic) as held:
        return held


def test_a_second_rollout_waits_for_the_first(cluster: Cluster) -> None:
    first = lease.Lease(_kubectl(cluster))
    assert first.take(None)
    time, said = Time(), list[str]()

    def renewed(seconds: float) -> None:
        time.sleep(seconds)
        if time.now < 200:
            first.renew()
        elif time.now == 200:
            first.release()

    kubectl = _kubectl(cluster)
    with lease.held(kubectl, say=said.append, pause=renewed, clock=time.monotonic):
        assert 200 <= time.now < 205
    assert said == [f"waits for another rollout: {first.holder}"]


def test_a_holder_that_died_is_waited_for_no_longer_than_its_lease(cluster: Cluster) -> None:
    dead = lease.Lease(_kubectl(cluster))
    dead.take(None)
    time, said = Time(), list[str]()
    _held(cluster, time, said)
    assert 60 < time.now < 70
    dead.renew()
    with pytest.raises(ServingError, match="took over this rollout"):
        dead.check()


def test_a_holder_that_does_not_end_is_named(cluster: Cluster) -> None:
    first = lease.Lease(_kubectl(cluster))
    first.take(None)
    time = Time()

    def renewed(seconds: float) -> None:
        time.sleep(seconds)
        first.renew()

    kubectl = _kubectl(cluster)
    with (
        pytest.raises(ServingError, match="has not ended after 900 s"),
        lease.held(kubectl, say=print, pause=renewed, clock=time.monotonic),
    ):
        pass
