"""What docs/adding-a-workload.md says, done: a second workload beside the first, and gone again."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from flight_delay import labelled_sample
from mlops_infra.node.layout import StateFolder
from mlops_rollout import gateway, inference_service
from mlops_rollout.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry
from mlops_toolchain import layout
from tests.cluster.conftest import Kubectl
from tests.e2e.conftest import CHECKOUT, Commands
from tests.e2e.serving import Load, kubectl_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]
_PAGE = CHECKOUT / "docs/adding-a-workload.md"
_NAME, _SECONDS = "tumours", 900
# What comes after a line that the page adds to a file, and its import.
_PLACES = {
    "TumourCommands(),": (")\n", "from tumours.commands import TumourCommands"),
    "Tumours(),": ("    )\n\n\ndef infrastructure(", "from tumours.workload import Tumours"),
}


@dataclass(frozen=True)
class Team:
    """A checkout in which a team has added its workload, with the state of the first checkout.

    Attributes:
        folder: the checkout.
        stack: the stack's name.
    """

    folder: Path
    stack: str

    def run(self, command: str, *words: str) -> subprocess.CompletedProcess[str]:
        python = str(self.folder / ".venv/bin/python")
        return subprocess.run(
            [python, "-m", "mlops_stack", command, "--stack", self.stack, *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )

    def succeed(self, command: str, *words: str) -> str:
        done = self.run(command, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def team(whole_stack: Commands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("team") / "checkout"
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (CHECKOUT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, folder / name)
    # Both are of one team: one backend with its passphrase, and one file of the stack. Programs are
    # each checkout's own.
    (folder / ".state").mkdir()
    for shared in ("pulumi", "passphrase", "config"):
        (folder / ".state" / shared).symlink_to(CHECKOUT / ".state" / shared)
    stack_file = f"Pulumi.{whole_stack.name}.yaml"
    shutil.copy2(CHECKOUT / stack_file, folder / stack_file)
    _follow_the_page(folder)
    for command in (
        ["make", "--silent", "toolchain"],
        [str(folder / ".venv/bin/python"), "-W", "ignore", "-m", "tumours.pipeline"],
    ):
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    yield Team(folder, whole_stack.name)
    shutil.rmtree(folder)


def _follow_the_page(folder: Path) -> None:
    # Of each block, the file that the text before it names first.
    blocks = re.findall(
        r"`(\w[\w/]+\.py)`(?:(?!```).)*```(?:python)?\n(.*?)```", _PAGE.read_text(), re.S
    )
    assert [Path(name).name for name, _ in blocks] == [
        *("data.py", "pipeline.py", "workload_name.py", "commands.py", "all_commands.py"),
        *("workload.py", "composition.py"),
    ]
    for name, block in blocks:
        file, line = folder / name, block.strip()
        if line not in _PLACES:
            file.parent.mkdir(exist_ok=True)
            file.write_text(block)
            continue
        before, imported = _PLACES[line]
        text = file.read_text()
        assert text.count(before) == 1, name
        text = text.replace(before, f"    {line}\n{before}")
        at = text.index("from ")
        file.write_text(f"{text[:at]}{imported}\n{text[at:]}")


@pytest.fixture
def flights(whole_stack: Commands, whole_outputs: dict[str, Any]) -> Iterator[Load]:
    """Ask for flights meanwhile; at the end, nothing of what serves them has changed."""
    before = _manifests(whole_stack, "flight-delay")
    rows = labelled_sample.read(str(layout.dataset_dir()), month=6, flights=1).rows
    path, body = inference_service.request("flight-delay", rows)
    url = f"{whole_outputs['kserve_url']}/{path}"
    load = Load(url, body, lambda answer: str(answer["model_version"]), per_second=10, threads=2)
    with load:
        yield load
    assert not load.failed
    assert set(load.answers) == {f"version {whole_outputs['model_version']}"}
    assert _manifests(whole_stack, "flight-delay") == before
    assert len(before) == 2


def _manifests(stack: Commands, model: str) -> dict[str, str]:
    """Return the versions that serve of a model, by their manifests' ids."""
    kubectl = Kubectl(StateFolder.of(stack.name).kubeconfig)
    kinds = "inferenceservices,seldondeployments"
    found = kubectl("get", kinds, "-A", "-l", f"mlops-platform/model={model}", "--output", "json")
    return {
        each["metadata"]["uid"]: each["metadata"]["labels"]["mlops-platform/version"]
        for each in json.loads(found)["items"]
    }


@pytest.mark.usefixtures("flights")
def test_it_comes_up_beside_the_first(team: Team, whole_stack: Commands) -> None:
    out = team.succeed("up")
    assert "Model of tumours" in out
    assert "Model of flight-delay" in out
    assert "chance of being benign" in out
    assert sorted(_manifests(whole_stack, _NAME).values()) == ["1", "1"]
    told = team.succeed("status")
    for engine in ("KServe", "Seldon", "Serving"):
        for workload in (_NAME, "flight-delay"):
            assert f"✓ {engine} of {workload} answers" in told


def test_commands_want_to_know_which_one_is_meant(team: Team) -> None:
    for command in ("predict", "run", "promote"):
        done = team.run(command)
        assert done.returncode == 1
        assert "WORKLOAD is not given; there are flight-delay, tumours" in done.stderr
    done = team.run("predict", "--workload", "tumour")
    assert "WORKLOAD=tumour is none; write one of flight-delay, tumours" in done.stderr
    lines = team.succeed("predict", "--workload", _NAME, "--rows", "4").splitlines()
    assert lines[1].split() == ["row", "KServe", "v1", "Seldon", "v1", "was"]
    for line in lines[2:]:
        _, kserve, seldon, _ = line.split()
        assert kserve == seldon
    assert len(lines) == 6


def test_a_malformed_request_names_what_the_model_was_trained_on(
    team: Team, whole_stack: Commands
) -> None:
    has = whole_stack.stack.outputs()["workloads"][_NAME]
    path, body = inference_service.request(_NAME, [{"mean radius": 1.0, "size": 2.0}])
    answer = httpx.post(f"{has['kserve_url']}/{path}", json=body)
    assert answer.status_code == 400
    assert "mean texture: missing" in answer.text
    assert "size: unknown" in answer.text


@pytest.mark.usefixtures("flights")
def test_it_is_tried_promoted_and_rolled_back_without_touching_the_first(
    team: Team, whole_stack: Commands, whole_outputs: dict[str, Any]
) -> None:
    team.succeed("run", "--workload", _NAME, "regularisation=0.01", "canary_percent=20")
    registry = Registry(whole_outputs["mlflow_url"], _NAME)
    tried = registry.by_alias(CHALLENGER)
    assert tried
    assert (tried.version.number, tried.canary_percent) == ("2", 20)
    assert sorted(_manifests(whole_stack, _NAME).values()) == ["1", "1", "2", "2"]
    team.succeed("promote", "--workload", _NAME)
    assert _aliases(registry) == ("2", "1")
    assert set(_manifests(whole_stack, _NAME).values()) == {"2"}
    team.succeed("rollback", "--workload", _NAME)
    assert _aliases(registry)[0] == "1"
    assert set(_manifests(whole_stack, _NAME).values()) == {"1"}


@pytest.mark.usefixtures("flights")
def test_it_goes_alone(team: Team, whole_stack: Commands, whole_outputs: dict[str, Any]) -> None:
    """By an update of a checkout that does not even have its folder."""
    assert _NAME in whole_stack.stack.outputs()["workloads"]
    whole_stack.run("up")
    assert not _manifests(whole_stack, _NAME)
    routes = gateway.read(kubectl_of(whole_outputs))
    assert not [text for text in routes.files.values() if _NAME in text]
    assert set(routes.records) == {"flight-delay"}
    kubectl = Kubectl(StateFolder.of(whole_stack.name).kubeconfig)
    kept = kubectl("get", "configmaps,secrets,roles", "-A", "--output", "name").split()
    assert not [name for name in kept if _NAME in name]
    assert set(whole_stack.stack.outputs()["workloads"]) == {"flight-delay"}


def _aliases(registry: Registry) -> tuple[str, str]:
    found = [registry.by_alias(alias) for alias in (CHAMPION, PREVIOUS)]
    first, second = (each.version.number if each else "" for each in found)
    return first, second
