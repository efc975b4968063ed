"""`make run`, followed on a small server of Kubeflow's API."""

from collections.abc import Iterator
from typing import Any

import pytest

from mlops_platform.pipelines import pipeline_runs
from mlops_platform.pipelines.pipelines_api import PipelinesApi
from mlops_rollout.engine import Version
from mlops_rollout.registry import RegisteredVersion
from mlops_stack import run
from mlops_stack.outputs import StackOutputs, WorkloadOutputs
from mlops_stack.pulumi_cli import Stack
from mlops_workloads.flight_delay_commands import FlightDelayCommands
from tests.unit.mlops_rollout.fake import Cluster, FakeRegistry
from tests.unit.workloads.kubeflow import Kubeflow, serving

PARAMETERS = {"training_months": "1-3", "evaluation_month": 4}
RUNNING, SUCCEEDED = {"state": "RUNNING"}, {"state": "SUCCEEDED"}


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubeflow]:
    monkeypatch.setattr(pipeline_runs, "_POLL_SECONDS", 0.01)
    with serving() as server:
        server.versions["v"] = ("p", "v", "")
        server.spec = {"root": {"dag": {"tasks": {}}}}
        yield server


def _target(url: str) -> run.Target:
    has = WorkloadOutputs(model_name="flight-delay", pipeline_id="p", pipeline_version_id="v")
    return run.Target(
        stack=Stack("dev"),
        outputs=StackOutputs(kubeflow_url=url, kubeflow_ui_url="http://ui"),
        workload=FlightDelayCommands(),
        has=has,
    )


def _follow(kubeflow: Kubeflow, **changes: Any) -> str:
    return run._followed(_target(kubeflow.url), {**PARAMETERS, **changes})


def _interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mlops_platform.pipelines.pipeline_runs.time.sleep", pressed)


def test_a_run_that_is_no_longer_followed_goes_on_and_the_message_says_how_to_end_it(
    kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeflow.script = [RUNNING]
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as ended:
        _interrupt(patch)
        _follow(kubeflow)
    assert ended.value.code == 130
    (started,) = kubeflow.runs
    said = capsys.readouterr().err
    assert f"the run goes on: http://ui/#/runs/details/{started}" in said
    assert "the same `make run …` follows it again" in said
    assert f"curl --request POST {kubeflow.url}/apis/v2beta1/runs/{started}:terminate" in said
    assert "make down" not in said


def test_the_same_command_follows_the_run_that_goes_on(
    kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeflow.script = [RUNNING]
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        _interrupt(patch)
        _follow(kubeflow)
    (started,) = kubeflow.runs
    kubeflow.runs[started].append({**kubeflow.runs[started][0], **SUCCEEDED})
    assert _follow(kubeflow) == started
    assert "follows the run with these parameters that goes on" in capsys.readouterr().out
    kubeflow.script = [SUCCEEDED]
    assert _follow(kubeflow) != started


def test_other_parameters_are_another_run(kubeflow: Kubeflow) -> None:
    kubeflow.script = [RUNNING, SUCCEEDED]
    first = _follow(kubeflow)
    assert _follow(kubeflow, training_months="2") != first


def test_an_interruption_before_there_is_a_run_says_where_to_look(
    kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(*_: Any, **__: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(PipelinesApi, "create_run", pressed)
    with pytest.raises(SystemExit):
        _follow(kubeflow)
    assert "if http://ui/#/runs shows it" in capsys.readouterr().err


@pytest.mark.parametrize(("month", "named"), [(2, True), (3, True), (4, False)])
def test_a_month_that_the_champion_knows_is_named(month: int, named: bool) -> None:
    class Trained(FakeRegistry):
        def _of_run(self, registered: RegisteredVersion, kind: str) -> list[dict[str, Any]]:
            return [{"key": "train_months", "value": "1-3"}] if kind == "params" else []

    version = Version(number="1", uri="")
    champion = RegisteredVersion(version=version, run_id="r", canary_percent=0)
    target, parameters = _target("http://kubeflow"), {"evaluation_month": month}
    said = run._unfair(target, Trained(Cluster()), champion, parameters)
    assert bool(said) is named
    if named:
        assert f"month {month} evaluates" in said
        assert "champion, version 1: " in said
        assert "was trained on months 1-3" in said
    assert run._unfair(target, Trained(Cluster()), None, parameters) == ""


def test_the_end_of_a_run_says_that_its_comparison_was_not_fair(
    kubeflow: Kubeflow, capsys: pytest.CaptureFixture[str]
) -> None:
    run._show(_target(kubeflow.url).outputs, "r", {"canary_percent": 0}, None, "month 2 evaluates")
    assert "not fair: month 2 evaluates" in capsys.readouterr().out
