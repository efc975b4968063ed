"""A job from its manifest to its end, as the cluster's answers tell it."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from flight_training import submit, train_step
from flight_training.errors import TrainingError
from flight_training.pod_logs import PodLogs
from mlops_rollout.kubectl import Access

JOB = {
    "kind": "PyTorchJob",
    "metadata": {"name": "trial"},
    "spec": {"runPolicy": {"activeDeadlineSeconds": 60}},
}
FIRST = "trial-master-0"


class Cluster(PodLogs):
    """Has one job or none, whose Pods say what they are told to."""

    def __init__(self, *statuses: str, said: Mapping[str, list[str]] | None = None) -> None:
        super().__init__(Access(), "training")
        self.statuses, self.said = list(statuses), said or {}
        self.done: list[str] = []

    def get(self, *words: str) -> list[dict[str, Any]]:
        if words[0] == "pods":
            return [
                {"metadata": {"name": pod}, "status": {"phase": "Running"}} for pod in self.said
            ]
        if not self.statuses:
            return []
        now = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        condition = {"type": now, "status": "True", "message": f"it has {now}"}
        return [{"status": {"conditions": [condition]}}]

    def write(self, verb: str, manifest: Mapping[str, Any]) -> str:
        self.done.append(verb)
        return str(manifest["metadata"]["name"])

    def run(self, *words: str, stdin: str = "", seconds: float = 0) -> str:
        self.done.append(words[0])
        return stdin

    def follow(self, pod: str) -> None:
        pass

    def lines(self, pod: str) -> list[str]:
        return self.said.get(pod, [])

    @property
    def pods(self) -> list[str]:
        return sorted(self.said)


@pytest.mark.parametrize(
    ("cluster", "done"),
    [
        (Cluster(), ["create"]),
        (Cluster("Running"), []),
        (Cluster("Succeeded"), []),
        (Cluster("Failed"), ["delete", "create"]),
    ],
)
def test_a_step_that_is_tried_again_goes_on_with_its_job(cluster: Cluster, done: list[str]) -> None:
    submit.start(cluster, JOB)
    assert cluster.done == done


def test_the_first_worker_is_shown_until_the_job_has_succeeded() -> None:
    cluster = Cluster("Running", "Succeeded", said={FIRST: ["one", "two"], "trial-worker-0": ["x"]})
    shown: list[str] = []
    submit.follow(cluster, JOB, shown.append)
    assert shown == [f"{FIRST} Running, trial-worker-0 Running", "  one", "  two"]


def test_a_failure_shows_the_last_lines_of_each_pod() -> None:
    said = {FIRST: [f"line {number}" for number in range(30)], "trial-worker-0": ["out of memory"]}
    with pytest.raises(TrainingError) as caught:
        submit.follow(Cluster("Failed", said=said), JOB, lambda _: None)
    text = str(caught.value)
    assert text.startswith("trial failed: it has Failed")
    assert re.search(r"last lines of trial-master-0:\n +line 10\n", text)
    assert "line 9\n" not in text
    assert text.endswith("last lines of trial-worker-0:\n    out of memory")


def test_a_job_that_is_gone_is_no_success() -> None:
    with pytest.raises(TrainingError, match="PyTorchJob trial was deleted"):
        submit.follow(Cluster(), JOB, lambda _: None)


def test_a_step_without_an_operator_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(train_step.VARIABLE, "{}")
    with pytest.raises(TrainingError, match="training-operator among mlops-platform:components"):
        train_step.train(
            framework="pytorch", data="", training_months="1", network={}, experiment="flights"
        )
