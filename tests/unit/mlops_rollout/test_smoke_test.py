"""When a version counts as serving; the servers themselves are asked end to end."""

from dataclasses import replace
from typing import Any

import pytest

from mlops_rollout import seldon_deployment, smoke_test
from mlops_rollout.engine import Answer, State
from mlops_rollout.errors import ServingError
from mlops_rollout.sample import Sample


class Clock:
    """Time that passes only where someone waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


def _wait(*statuses: tuple[float, dict[str, Any]], generation: int = 1) -> float:
    """Wait for statuses that hold from a second on; return the second of the end."""
    clock = Clock()

    def get(*words: str) -> list[dict[str, Any]]:
        status = [status for second, status in statuses if second <= clock.now][-1]
        return [{"metadata": {"generation": generation}, "status": status}]

    def read() -> State:
        return seldon_deployment.state("m-v1", get)

    smoke_test.wait("m-v1", read, pause=clock.pause, clock=clock)
    return clock.now


def _failed(reason: str = "no such bucket") -> dict[str, Any]:
    return {"state": "Failed", "description": reason, "observedGeneration": 1}


AVAILABLE = {"state": "Available", "observedGeneration": 1}


def test_an_available_version_is_waited_for() -> None:
    assert _wait((0, {}), (3, {"state": "Creating", "observedGeneration": 1}), (7, AVAILABLE)) == 7


def test_the_status_of_an_older_manifest_does_not_count() -> None:
    assert _wait((0, AVAILABLE), (5, {**AVAILABLE, "observedGeneration": 2}), generation=2) == 5


def test_a_failure_that_mends_itself_is_none() -> None:
    assert _wait((0, _failed()), (60, AVAILABLE)) == 60


def test_a_failure_that_lasts_is_the_reason() -> None:
    with pytest.raises(ServingError, match="m-v1 does not serve: no such bucket"):
        _wait((0, _failed()))


def test_a_manifest_that_is_not_honoured_fails_at_once() -> None:
    status = {**_failed("shadow"), "conditions": [{"type": "Ready", "reason": "NotSupported"}]}
    with pytest.raises(ServingError, match="shadow"):
        _wait((0, status), (2, AVAILABLE))


def test_a_controller_that_is_not_there_is_named() -> None:
    with pytest.raises(ServingError, match="no controller has seen it"):
        _wait((0, {}))


def _answer(*probabilities: float, version: str = "3") -> Answer:
    return seldon_deployment.answer(
        {
            "data": {"ndarray": [[p] for p in probabilities]},
            "meta": {"tags": {"model_version": version}},
        }
    )


def test_an_answer_is_judged_by_its_labels() -> None:
    sample = Sample(rows=[{}] * 4, labels=[True, False, True, False])
    assert smoke_test.judge(_answer(0.9, 0.1, 0.6, 0.2), sample, "3") == 1
    with pytest.raises(ServingError, match="ROC AUC of 0"):
        smoke_test.judge(_answer(0.1, 0.9, 0.2, 0.6), sample, "3")
    # The sample says how good is good enough.
    undemanding = replace(sample, least_auc=0.0)
    assert smoke_test.judge(_answer(0.1, 0.9, 0.2, 0.6), undemanding, "3") == 0
    with pytest.raises(ServingError, match="version 2 answered instead of 3"):
        smoke_test.judge(_answer(0.9, 0.1, 0.6, 0.2, version="2"), sample, "3")
    with pytest.raises(ServingError, match="the answer to 4 rows"):
        smoke_test.judge(_answer(0.9), sample, "3")
    with pytest.raises(ServingError, match="the answer to 4 rows"):
        smoke_test.judge(_answer(1.5, 0.1, 0.6, 0.2), sample, "3")
