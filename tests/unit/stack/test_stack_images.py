"""What `make up` builds before an update, and what a stack goes without."""

import subprocess
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mlops_stack import settings, stack_images
from mlops_stack.pulumi_cli import Stack
from mlops_stack.stack_images import StackImagesError
from mlops_toolchain import images

UI_NAMES = ("kubeflow-pipelines-ui", "grpcwebproxy")
UI = [images.artefact(name) for name in UI_NAMES]


@dataclass
class FakeStack:
    config: dict[str, str]
    has_ui: bool
    name: str = "dev"

    def provider(self) -> str:
        return self.config.get("clusterProvider", "embedded")

    def knows(self, kind: str) -> bool:
        assert kind == "mlops:platform:KubeflowPipelinesUi"
        return self.has_ui


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    found: list[list[str]] = []

    def run(command: list[str], **_: Any) -> Any:
        found.append(command[4:])
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    return found


def _stack(*, has_ui: bool = False, **config: str) -> Stack:
    return cast(Stack, FakeStack(config=config, has_ui=has_ui))


def _missing(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(images, "is_there", lambda name: name not in names)
    monkeypatch.setattr(images, "is_expected", lambda name: name not in names)


def test_a_new_stack_does_not_wait_for_the_ui(
    monkeypatch: pytest.MonkeyPatch, commands: list[list[str]]
) -> None:
    _missing(monkeypatch, *UI_NAMES)
    stack = _stack()
    stack_images.build_for(stack, settings.parse({}))
    assert not commands
    assert stack_images.configuration(stack) == {"without": "kubeflow-ui"}


def test_it_gets_the_ui_once_that_is_built(
    monkeypatch: pytest.MonkeyPatch, commands: list[list[str]]
) -> None:
    _missing(monkeypatch)
    assert stack_images.configuration(_stack()) == {}
    stack_images.build_for(_stack(), settings.parse({}))
    assert not commands


def test_a_preview_has_the_ui_that_the_toolchain_builds_before_the_update(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _missing(monkeypatch, *UI_NAMES)
    monkeypatch.setattr(images, "is_expected", lambda _: True)
    assert stack_images.configuration(_stack()) == {}


def test_a_stack_that_has_the_ui_keeps_it(
    monkeypatch: pytest.MonkeyPatch, commands: list[list[str]]
) -> None:
    _missing(monkeypatch, *UI_NAMES)
    stack = _stack(has_ui=True)
    assert stack_images.configuration(stack) == {}
    stack_images.build_for(stack, settings.parse({}))
    assert commands == [UI]
    commands.clear()
    stack_images.build_for(stack, settings.parse({"kubeflowUi": "false"}))
    assert not commands


def test_what_the_settings_ask_for_is_built_if_it_is_not(
    monkeypatch: pytest.MonkeyPatch, commands: list[list[str]]
) -> None:
    _missing(monkeypatch, "notebook-controller", "pytorch-training", "mlflow", "gateway")
    config = {"notebooks": "true", "trainingOperator": "true"}
    stack_images.build_for(_stack(**config), settings.parse(config))
    (names,) = commands
    # Nothing serves a model in it.
    assert set(names) == {
        "image-mlflow",
        "image-notebook-controller",
        "image-pytorch-training",
    }


def test_kind_is_given_what_its_pods_run_and_upstream_does_not_publish(
    monkeypatch: pytest.MonkeyPatch, commands: list[list[str]]
) -> None:
    _missing(monkeypatch, "notebook-controller", "notebook", "kfp-driver", "mlflow")
    config = {"clusterProvider": "kind", "notebooks": "true"}
    stack_images.build_for(_stack(**config), settings.parse(config))
    (names,) = commands
    assert set(names) == {"image-mlflow", "image-notebook"}


@pytest.mark.parametrize("provider", ["existing", "eks"])
def test_other_clusters_wait_for_nothing_and_go_without_nothing(
    monkeypatch: pytest.MonkeyPatch, commands: list[list[str]], provider: str
) -> None:
    _missing(monkeypatch, "notebook", "mlflow")
    stack = _stack(clusterProvider=provider)
    needed = {
        "existing": {"kubeconfig": "k", "imageRegistry": "r"},
        "eks": {"owner": "a@example.org", "imageRegistry": "r"},
    }
    config = {"clusterProvider": provider, "notebooks": "true", **needed.get(provider, {})}
    stack_images.build_for(stack, settings.parse(config))
    assert stack_images.configuration(stack) == {}
    assert not commands


def test_a_build_that_fails_stops_the_update(monkeypatch: pytest.MonkeyPatch) -> None:
    _missing(monkeypatch, "notebook-controller")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1))
    with pytest.raises(StackImagesError, match="stack dev needs the images notebook-controller"):
        stack_images.build_for(_stack(), settings.parse({"notebooks": "true"}))
