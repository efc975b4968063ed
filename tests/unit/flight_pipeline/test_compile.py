"""The compiled file: up to date, and what a cluster will make of it."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import dsl

from flight_pipeline import compile as compiling
from flight_pipeline import pipeline, settings
from flight_pipeline.components.deploy import deploy
from flight_pipeline.parameters import DEFAULTS


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(compiling.COMPILED.read_text()))


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(sys, "argv", ["compile", "--check"])
    return monkeypatch


def _tasks(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    graphs = [spec["root"], *spec["components"].values()]
    return {
        name: task
        for graph in graphs
        for name, task in graph.get("dag", {}).get("tasks", {}).items()
    }


def test_the_file_of_the_repository_is_up_to_date(command: pytest.MonkeyPatch) -> None:
    assert compiling.main() == 0


def test_another_graph_fails_the_check(
    command: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @dsl.pipeline(name=pipeline.NAME)
    def another(uri: str) -> None:
        deploy(
            model=dsl.importer(artifact_uri=uri, artifact_class=dsl.Model).output, model_name="m"
        )

    before = compiling.COMPILED.read_text()
    command.setattr(pipeline, "flight_delay", another)
    assert compiling.main() == 1
    assert "run `make pipeline`" in capsys.readouterr().out
    assert compiling.COMPILED.read_text() == before


def test_a_stale_file_fails_the_check_until_it_is_written(
    command: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stale = tmp_path / "pipeline.yaml"
    current = compiling.COMPILED.read_text()
    assert "defaultValue: 0.08" in current
    stale.write_text(current.replace("defaultValue: 0.08", "defaultValue: 0.09"))
    command.setattr(compiling, "COMPILED", stale)
    assert compiling.main() == 1
    command.setattr(sys, "argv", ["compile"])
    assert compiling.main() == 0
    assert stale.read_text() == current
    command.setattr(sys, "argv", ["compile", "--check"])
    assert compiling.main() == 0


def test_its_defaults_are_those_that_are_checked(documents: list[dict[str, Any]]) -> None:
    declared = documents[0]["root"]["inputDefinitions"]["parameters"]
    assert set(declared) == {*DEFAULTS, "data", "outcomes"}
    found = {
        name: value["defaultValue"] for name, value in declared.items() if "defaultValue" in value
    }
    assert found == DEFAULTS


def test_the_exit_handler_follows_whatever_happened(documents: list[dict[str, Any]]) -> None:
    record = _tasks(documents[0])["record"]
    assert record["dependentTasks"] == ["exit-handler-1"]
    assert record["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"


def test_only_a_better_model_is_deployed(documents: list[dict[str, Any]]) -> None:
    spec = documents[0]
    (name,) = [name for name in _tasks(spec) if name.startswith("condition")]
    condition = _tasks(spec)[name]["triggerPolicy"]["condition"]
    assert condition == ("inputs.parameter_values['pipelinechannel--evaluate-better'] == true")
    graph = spec["components"][_tasks(spec)[name]["componentRef"]["name"]]["dag"]["tasks"]
    assert set(graph) == {"deploy"}


def test_evaluate_is_reused_only_against_the_same_champion(
    documents: list[dict[str, Any]],
) -> None:
    tasks = _tasks(documents[0])
    cached = {
        name for name, task in tasks.items() if task.get("cachingOptions", {}).get("enableCache")
    }
    steps = {"champion", "preprocess", "train", "evaluate", "deploy", "record"}
    assert cached & steps == {"preprocess", "train", "evaluate"}
    inputs = tasks["evaluate"]["inputs"]["parameters"]
    for name in ("version", "model"):
        found = inputs[f"champion_{name}"]["taskOutputParameter"]
        assert found == {"outputParameterKey": name, "producerTask": "champion"}


def test_each_step_is_retried_and_fits_a_small_node(documents: list[dict[str, Any]]) -> None:
    spec = documents[0]
    tasks = _tasks(spec)
    executors = spec["deploymentSpec"]["executors"]
    assert len(executors) == 6
    for label, executor in executors.items():
        name = label.removeprefix("exec-")
        assert tasks[name]["retryPolicy"]["maxRetryCount"] == 2, name
        container = executor["container"]
        assert container["image"] == settings.IMAGE
        assert container["resources"]["cpuRequest"] <= 0.25
        assert container["resources"]["memoryLimit"] == 3 * 2**30 / 1e9
        assert "pip install" not in " ".join(container["command"]), name


def test_each_step_gets_its_keys_and_addresses(documents: list[dict[str, Any]]) -> None:
    executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert len(executors) == 6
    for executor in executors.values():
        (secret,) = executor["secretAsEnv"]
        (config,) = executor["configMapAsEnv"]
        assert secret["secretName"] == settings.SECRET
        assert {each["envVar"] for each in secret["keyToEnv"]} == set(settings.SECRET_KEYS)
        assert config["configMapName"] == settings.CONFIG_MAP
        assert {each["envVar"] for each in config["keyToEnv"]} == set(settings.CONFIG_KEYS)
