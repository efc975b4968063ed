"""A registered model outlives its environment: out to a folder, and into another one."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import mlflow
import pytest

from mlops_infra.node.leftovers import leftovers
from mlops_stack.pulumi_cli import Stack
from tests.e2e import environments
from tests.e2e.conftest import CHECKOUT, Commands
from tests.e2e.environments import Template

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="an embedded cluster needs root"),
]
_CONTENT = os.urandom(3_000_000)


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    """The platform, whose pipeline does not run by itself."""
    with environments.template(ephemeral="true", pipelineRun="false") as found:
        yield found


@pytest.fixture(scope="module")
def kept(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The export of an environment that was reaped after somebody registered a model in it."""
    name = template.new_name("kept")
    words = ["--name", name, "--ttl", "4h", "--template", template.name]
    done = environments.run("create", *words, "--keep", "models")
    assert done.returncode == 0, done.stdout + done.stderr
    _register(_client(name), tmp_path_factory.mktemp("model"))
    environments.expire(name)
    done = environments.run("reap")
    assert done.returncode == 0, done.stdout + done.stderr
    assert leftovers(name) == ()
    (folder,) = (CHECKOUT / ".state/kept").glob(f"{name}-*")
    yield folder
    shutil.rmtree(folder)


def _client(name: str) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(Stack(name).outputs()["mlflow_url"])


def _artifact(name: str, run: str, file: str) -> bytes:
    """Return an artifact as a browser gets it: MLflow's client asks S3, by its name for Pods."""
    url = f"{Stack(name).outputs()['mlflow_url']}/get-artifact"
    answer = httpx.get(url, params={"run_uuid": run, "path": f"model/{file}"}, timeout=60)
    return answer.raise_for_status().content


def _register(client: mlflow.MlflowClient, folder: Path) -> None:
    run = client.create_run(client.create_experiment("flights"))
    client.log_metric(run.info.run_id, "roc_auc", 0.7)
    (folder / "weights ü.bin").write_bytes(_CONTENT)
    (folder / "empty").write_bytes(b"")
    client.log_artifacts(run.info.run_id, str(folder), "model")
    client.create_registered_model("flight-delay")
    for _ in range(2):
        client.create_model_version(
            "flight-delay", f"{run.info.artifact_uri}/model", run.info.run_id
        )
    client.set_registered_model_alias("flight-delay", "champion", "2")


def test_a_harmed_export_is_refused_before_anything_is_made(
    kept: Path, template: Template, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(kept, copy)
    largest = max((copy / "objects").iterdir(), key=lambda file: file.stat().st_size)
    content = largest.read_bytes()
    # Another byte, whichever it was.
    largest.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    name = template.new_name("harmed")
    words = ["--name", name, "--ttl", "4h", "--template", template.name]
    done = environments.run("create", *words, "--restore", str(copy))
    assert done.returncode == 1
    assert f"{largest.name} is not what was exported" in done.stderr
    assert name not in Stack.names()


def test_the_same_versions_and_their_files_are_in_the_new_environment(
    kept: Path, template: Template
) -> None:
    name = template.new_name("restored")
    words = ["--name", name, "--ttl", "4h", "--template", template.name]
    done = environments.run("create", *words, "--restore", str(kept))
    assert done.returncode == 0, done.stdout + done.stderr
    client = _client(name)
    champion = client.get_model_version_by_alias("flight-delay", "champion")
    assert str(champion.version) == "2"
    assert {str(v.version) for v in client.search_model_versions("")} == {"1", "2"}
    assert client.get_run(champion.run_id).data.metrics == {"roc_auc": 0.7}
    assert _artifact(name, champion.run_id, "weights ü.bin") == _CONTENT
    assert _artifact(name, champion.run_id, "empty") == b""
    # The server goes on with its numbers.
    source = f"{client.get_run(champion.run_id).info.artifact_uri}/model"
    third = client.create_model_version("flight-delay", source, champion.run_id)
    assert str(third.version) == "3"
    assert "No changes" in Commands(name).run("preview", "--format", "markdown").stdout
    _refused_again(name, kept)
    assert "leftovers: 0" in Commands(name).run("down").stdout


def _refused_again(name: str, kept: Path) -> None:
    """What was made since would be lost."""
    done = Commands(name).run("up", "--restore", str(kept), check=False)
    assert done.returncode == 1
    assert "holds 1 models and 1 runs of its own" in done.stderr
