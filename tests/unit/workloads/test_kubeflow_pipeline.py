"""Pipelines, schedules and runs as resources, against a server on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_platform.pipelines import pipeline_runs, step_logs
from mlops_platform.pipelines.kubeflow_pipeline import (
    PipelineRunProvider,
    PipelineVersionProvider,
    RecurringRunProvider,
)
from mlops_platform.pipelines.pipeline_runs import RunFailedError, follow, steps
from mlops_platform.pipelines.pipelines_api import PipelinesApi, PipelinesApiError
from tests.unit.workloads.kubeflow import NOT_FOUND, Kubeflow, serving

SPEC: dict[str, Any] = {
    "components": {
        "comp-train": {"executorLabel": "exec-train"},
        "comp-exit": {"dag": {"tasks": {"train": {"componentRef": {"name": "comp-train"}}}}},
    },
    "root": {"dag": {"tasks": {"steps": {"componentRef": {"name": "comp-exit"}}}}},
}


def no_logs(_run: str, _step: str) -> list[str]:
    return []


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubeflow]:
    monkeypatch.setattr(pipeline_runs, "_POLL_SECONDS", 0.01)
    with serving() as server:
        server.spec = SPEC
        yield server


def _version(kubeflow: Kubeflow, content: str = "a") -> dict[str, Any]:
    return {
        "api_url": kubeflow.url,
        "pipeline": "flight-delay",
        "description": "d",
        "content": content,
    }


def _schedule(kubeflow: Kubeflow, **changes: Any) -> dict[str, Any]:
    return {
        "api_url": kubeflow.url,
        "display_name": "nightly",
        "experiment": "e",
        "pipeline_id": "p",
        "version_id": "v",
        "parameters": {"months": "1-3"},
        "cron": "0 0 3 * * *",
        "enabled": True,
        **changes,
    }


def _run(kubeflow: Kubeflow) -> dict[str, Any]:
    provider = PipelineVersionProvider()
    version = provider.create(_version(kubeflow)).outs
    names = ("api_url", "display_name", "experiment", "parameters")
    schedule = {name: value for name, value in _schedule(kubeflow).items() if name in names}
    return {
        **schedule,
        "kubeconfig": "",
        **{name: version[name] for name in ("pipeline_id", "version_id")},
    }


def _answer(state: str, *tasks: tuple[str, str, str, str]) -> dict[str, Any]:
    return {
        "state": state,
        "run_details": {
            "task_details": [
                {
                    "display_name": name,
                    "state": task_state,
                    "start_time": f"2026-01-01T00:00:{start}Z",
                    "end_time": f"2026-01-01T00:00:{end}Z",
                    "child_tasks": [{"pod_name": f"wf-{number}"}],
                }
                for number, (name, task_state, start, end) in enumerate(tasks)
            ]
        },
    }


def test_new_content_is_a_new_version_of_the_same_pipeline(kubeflow: Kubeflow) -> None:
    kubeflow.pipelines = {"1": "x", "2": "y", "3": "z"}
    provider = PipelineVersionProvider()
    first = provider.create(_version(kubeflow))
    second = provider.update(first.id, first.outs, _version(kubeflow, "b"))
    assert list(kubeflow.pipelines.values()).count("flight-delay") == 1
    assert [content for _, _, content in kubeflow.versions.values()] == ["a", "b"]
    assert first.outs["version"] != second.outs["version"]
    assert provider.read(first.id, second.outs).id == first.id


def test_an_upload_that_pulumi_never_heard_of_is_taken_over(kubeflow: Kubeflow) -> None:
    first = PipelineVersionProvider().create(_version(kubeflow))
    again = PipelineVersionProvider().create(_version(kubeflow))
    assert (again.id, again.outs["version_id"]) == (first.id, first.outs["version_id"])
    assert len(kubeflow.versions) == 1


def test_a_deleted_pipeline_leaves_nothing_and_is_deleted_twice_in_peace(
    kubeflow: Kubeflow,
) -> None:
    provider = PipelineVersionProvider()
    created = provider.create(_version(kubeflow))
    provider.delete(created.id, created.outs)
    provider.delete(created.id, created.outs)
    assert not kubeflow.pipelines
    assert provider.read(created.id, created.outs).id == ""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (False, [])),
        ({"content": "b"}, (True, [])),
        ({"api_url": "http://b"}, (True, [])),
        ({"pipeline": "other"}, (True, ["pipeline"])),
    ],
)
def test_version_diff(
    kubeflow: Kubeflow, changes: dict[str, Any], expected: tuple[bool, list[str]]
) -> None:
    olds = _version(kubeflow)
    found = PipelineVersionProvider().diff("p", olds, {**olds, **changes})
    assert (found.changes, found.replaces) == expected


def test_a_schedule_is_made_paused_resumed_and_deleted(kubeflow: Kubeflow) -> None:
    provider = RecurringRunProvider()
    created = provider.create(_schedule(kubeflow))
    held = kubeflow.schedules[created.id]
    assert held["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert held["runtime_config"] == {"parameters": {"months": "1-3"}}
    assert kubeflow.experiments[held["experiment_id"]] == "e"
    provider.update(created.id, created.outs, _schedule(kubeflow, enabled=False))
    assert kubeflow.schedules[created.id]["status"] == "DISABLED"
    assert provider.read(created.id, created.outs).outs["enabled"] is False
    provider.delete(created.id, created.outs)
    provider.delete(created.id, created.outs)
    assert provider.read(created.id, created.outs).id == ""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (False, [])),
        ({"enabled": False}, (True, [])),
        ({"cron": "0 0 4 * * *"}, (True, ["cron"])),
        ({"parameters": {}}, (True, ["parameters"])),
        ({"version_id": "w"}, (True, ["version_id"])),
    ],
)
def test_schedule_diff(
    kubeflow: Kubeflow, changes: dict[str, Any], expected: tuple[bool, list[str]]
) -> None:
    found = RecurringRunProvider().diff("s", _schedule(kubeflow), _schedule(kubeflow, **changes))
    assert (found.changes, found.replaces) == expected


def test_a_run_shows_its_steps_and_none_of_kubeflows_own(
    kubeflow: Kubeflow, capsys: pytest.CaptureFixture[str]
) -> None:
    driver = ("root-driver", "SUCCEEDED", "00", "04")
    kubeflow.script = [
        _answer("RUNNING", driver),
        _answer("RUNNING", driver, ("train", "RUNNING", "05", "05")),
        _answer("SUCCEEDED", driver, ("train", "SUCCEEDED", "05", "17")),
    ]
    created = PipelineRunProvider().create(_run(kubeflow))
    assert capsys.readouterr().out.splitlines() == ["• train", "✓ train (12 s)"]
    assert created.outs["run_id"] == created.id


def test_the_end_of_a_step_that_is_noted_after_the_runs_is_shown(
    kubeflow: Kubeflow, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeflow.script = [
        _answer("SUCCEEDED", ("train", "RUNNING", "05", "05")),
        _answer("SUCCEEDED", ("train", "SUCCEEDED", "05", "07")),
    ]
    PipelineRunProvider().create(_run(kubeflow))
    assert capsys.readouterr().out.splitlines() == ["• train", "✓ train (2 s)"]


def test_a_step_whose_end_is_never_noted_does_not_hold_the_run(
    kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_runs, "_SETTLE_SECONDS", 0.1)
    kubeflow.script = [_answer("SUCCEEDED", ("train", "RUNNING", "05", "05"))]
    assert PipelineRunProvider().create(_run(kubeflow)).id


def test_equal_runs_are_those_of_the_version_with_the_same_parameters(kubeflow: Kubeflow) -> None:
    api = PipelinesApi(kubeflow.url)

    def started(version: str, **parameters: Any) -> str:
        return api.create_run(
            name="n", experiment="e", pipeline="p", version=version, parameters=parameters
        )

    kubeflow.script = [_answer("SUCCEEDED")]
    first, second = started("v", months="1"), started("v", months="1")
    started("w", months="1")
    started("v", months="2")
    assert set(api.equal_runs("v", {"months": "1"})) == {first, second}


def test_a_run_that_an_interrupted_update_left_is_followed_to_its_end(kubeflow: Kubeflow) -> None:
    props = _run(kubeflow)
    api = PipelinesApi(kubeflow.url)

    def started(**changes: Any) -> str:
        parameters = {**props["parameters"], **changes}
        return api.create_run(
            name="before",
            experiment="x",
            pipeline=props["pipeline_id"],
            version=props["version_id"],
            parameters=parameters,
        )

    kubeflow.script = [_answer("SUCCEEDED")]
    ended = started()
    kubeflow.script = [_answer("RUNNING"), _answer("RUNNING"), _answer("SUCCEEDED")]
    going_on = started()
    other = started(training_months="7")
    assert PipelineRunProvider().create(props).id == going_on
    again = PipelineRunProvider().create(props).id
    assert again not in {ended, going_on, other}


@pytest.mark.parametrize(("end", "skipped"), [("05", "05"), ("06", "06")])
def test_a_reused_step_is_called_so(
    kubeflow: Kubeflow, capsys: pytest.CaptureFixture[str], end: str, skipped: str
) -> None:
    kubeflow.script = [
        _answer(
            "SUCCEEDED",
            ("train", "SUCCEEDED", "05", end),
            ("executor", "SKIPPED", skipped, skipped),
        )
    ]
    PipelineRunProvider().create(_run(kubeflow))
    assert capsys.readouterr().out.splitlines() == ["↺ train (reused)"]


def test_a_failed_run_shows_the_last_lines_of_its_step(
    kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeflow.script = [_answer("FAILED", ("train", "FAILED", "05", "09"))]
    monkeypatch.setattr(
        step_logs, "reader", lambda _config: lambda _run, step: [f"last words of {step}"]
    )
    with pytest.raises(RunFailedError) as caught:
        PipelineRunProvider().create(_run(kubeflow))
    message = str(caught.value)
    assert "step train failed after 4 s" in message
    assert "  | last words of train" in message


def test_an_api_server_that_restarts_does_not_end_the_following(kubeflow: Kubeflow) -> None:
    kubeflow.script = [_answer("SUCCEEDED")]
    run = PipelinesApi(kubeflow.url).create_run(
        name="n", experiment="e", pipeline="p", version="v", parameters={}
    )
    kubeflow.failures = [(503, {"message": "starting"})] * 3
    found = follow(PipelinesApi(kubeflow.url), run, {"train"}, logs=no_logs, timeout=30, say=print)
    assert found["state"] == "SUCCEEDED"


def test_a_run_that_takes_too_long_or_vanishes_is_an_error(kubeflow: Kubeflow) -> None:
    api = PipelinesApi(kubeflow.url)
    kubeflow.script = [_answer("RUNNING")]
    run = api.create_run(name="n", experiment="e", pipeline="p", version="v", parameters={})
    with pytest.raises(RunFailedError, match="has not ended after 0 s"):
        follow(api, run, {"train"}, logs=no_logs, timeout=0.05, say=print)
    with pytest.raises(RunFailedError, match="is gone"):
        follow(api, "no-such-run", {"train"}, logs=no_logs, timeout=5, say=print)


def test_steps_are_in_the_order_of_their_start() -> None:
    run = _answer("RUNNING", ("train", "RUNNING", "09", "09"))
    run["run_details"]["task_details"].insert(0, {"display_name": "train", "state": "PENDING"})
    assert [step.state for step in steps(run, {"train"})] == ["RUNNING"]


def test_a_refusal_carries_the_servers_words(kubeflow: Kubeflow) -> None:
    kubeflow.failures = [(400, {"error_message": "the name is taken"})]
    with pytest.raises(PipelinesApiError, match="refused POST pipelines: the name is taken"):
        PipelinesApi(kubeflow.url).create_pipeline("x", "")


@pytest.mark.parametrize(
    "answer",
    [
        (404, "<h1>no such page</h1>"),
        (404, {"message": "no such route"}),
        (404, {"code": 5, "message": "Not Found", "details": []}),
        (401, "<form>sign in</form>"),
        (403, {"code": 7, "message": "not for you"}),
        (302, ""),
        (200, "<form>sign in</form>"),
        (500, {"code": 13, "message": "the database is away"}),
    ],
    ids=lambda answer: str(answer[0]),
)
def test_only_kubeflows_own_word_means_gone(
    kubeflow: Kubeflow, answer: tuple[int, dict[str, Any] | str]
) -> None:
    created = PipelineVersionProvider().create(_version(kubeflow))
    schedule = RecurringRunProvider().create(_schedule(kubeflow))
    kubeflow.failures = [answer] * 5
    for work in (
        lambda: PipelineVersionProvider().read(created.id, created.outs),
        lambda: PipelineVersionProvider().delete(created.id, created.outs),
        lambda: RecurringRunProvider().read(schedule.id, schedule.outs),
        lambda: RecurringRunProvider().delete(schedule.id, schedule.outs),
        lambda: PipelineRunProvider().read("run", {"api_url": kubeflow.url}),
    ):
        with pytest.raises(PipelinesApiError):
            work()
    assert kubeflow.pipelines and kubeflow.schedules


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(PipelinesApiError, match=r"does not answer at http://127\.0\.0\.1:1"):
        PipelinesApi("http://127.0.0.1:1").pipeline_named("x")


POD = {
    "metadata": {
        "name": "wf-1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {"workflows.argoproj.io/node-name": "wf.root.steps.train.executor(0)"},
    }
}
FORBIDDEN = 'Error from server (Forbidden): pods "wf-1" is forbidden: not for you'


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (f"echo '{FORBIDDEN}' >&2; exit 1", f"(its log cannot be read: {FORBIDDEN})"),
        ("exit 3", "(its log cannot be read: kubectl ended with 3)"),
        ("true", "(its log is empty)"),
        ("echo last words", "last words"),
    ],
)
def test_a_log_that_is_refused_is_not_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, said: str
) -> None:
    kubectl = tmp_path / "kubectl"
    pods = json.dumps({"items": [POD]})
    kubectl.write_text(
        f"#!/bin/sh\ncase \"$*\" in *get*pods*) echo '{pods}';; *) {script};; esac\n"
    )
    kubectl.chmod(0o755)
    monkeypatch.setattr(step_logs.layout, "bin_dir", lambda: tmp_path)
    assert step_logs.reader("")("run", "train") == [said]
    # Another step has no pod here.
    assert step_logs.reader("")("run", "evaluate") == []


def test_the_pod_of_the_last_try_speaks_for_a_step() -> None:
    def pod(name: str, node: str, created: str) -> dict[str, Any]:
        annotations = {"workflows.argoproj.io/node-name": f"wf-1.root.steps.{node}"}
        return {
            "metadata": {"name": name, "annotations": annotations, "creationTimestamp": created}
        }

    pods = [
        pod("driver", "train-driver", "3"),
        pod("first", "train.executor(0)", "1"),
        pod("second", "train.executor(1)", "2"),
        pod("other", "retrain.executor(0)", "4"),
    ]
    text = json.dumps({"items": pods})
    assert step_logs.newest_pod(text, "train") == "second"
    assert step_logs.newest_pod(text, "deploy") is None


def test_a_database_that_dies_while_it_answers_has_not_lost_a_run(kubeflow: Kubeflow) -> None:
    """Upstream's server answers "not found" when the connection breaks under a query's rows."""
    kubeflow.script = [{"state": "SUCCEEDED"}]
    provider = PipelineVersionProvider()
    created = provider.create(_version(kubeflow))
    api = PipelinesApi(kubeflow.url)
    run = api.create_run(
        name="r", experiment="e", pipeline="p", version="v", parameters={"months": "1"}
    )
    away = (500, {"code": 13, "message": "InternalServerError: invalid connection"})
    kubeflow.failures = [(404, NOT_FOUND), away, (404, NOT_FOUND), away]
    said: list[str] = []
    ended = follow(api, run, {"train"}, logs=no_logs, timeout=10, say=said.append)
    assert ended["state"] == "SUCCEEDED"
    assert not kubeflow.failures
    kubeflow.failures = [(404, NOT_FOUND), away]
    with pytest.raises(PipelinesApiError, match="invalid connection"):
        provider.read(created.id, created.outs)
    kubeflow.failures = [(404, NOT_FOUND), (200, {})]
    assert provider.read(created.id, created.outs).id == created.id


def test_a_pipeline_is_not_forgotten_because_its_deletion_met_a_dying_database(
    kubeflow: Kubeflow,
) -> None:
    provider = PipelineVersionProvider()
    created = provider.create(_version(kubeflow))
    kubeflow.failures = [(404, NOT_FOUND), (404, NOT_FOUND)]
    with pytest.raises(PipelinesApiError, match="did not delete"):
        provider.delete(created.id, created.outs)
    assert kubeflow.pipelines
