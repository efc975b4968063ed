"""A lasting stack among others: another backend, another checkout, a lost state, a changed network.

One stack of infra alone goes through all of it, in the order of the tests.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_infra import cluster_claim
from mlops_infra.node import cluster
from mlops_infra.node.leftovers import leftovers
from tests.e2e import store
from tests.e2e.conftest import CHECKOUT, Commands

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="an embedded cluster needs root"),
]
_TIMEOUT_SECONDS = 600
_OTHER_CHECKOUT = """
import pathlib, sys
from mlops_toolchain import layout
other = pathlib.Path(sys.argv.pop(1))
layout.checkout = lambda: other
from mlops_stack.__main__ import main
sys.exit(main())
"""


@pytest.fixture(scope="module")
def commands(new_stack: Callable[..., Commands]) -> Iterator[Commands]:
    """A lasting stack that is up, with an object in a bucket."""
    made = new_stack("lasting", ephemeral="false", layers="infra")
    made.run("up")
    _s3(made).put_object(Bucket="models", Key="kept", Body=b"data")
    yield made
    made.run("down", "--replace", "*", check=False)
    subprocess.run(
        [sys.executable, "-m", "mlops_infra.node", "down", made.name], check=False, cwd=CHECKOUT
    )


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of another backend, as a lost checkout that was cloned again has one."""
    return {"PULUMI_BACKEND_URL": f"file://{tmp_path_factory.mktemp('backend')}"}


def _s3(commands: Commands, **variables: str) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        outputs = commands.stack.outputs()
    return store.client(outputs)


def _run(command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=CHECKOUT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )


def _configure(commands: Commands, **settings: str) -> None:
    file = CHECKOUT / f"Pulumi.{commands.name}.yaml"
    document = yaml.safe_load(file.read_text())
    document["config"] |= {f"mlops-platform:{key}": value for key, value in settings.items()}
    file.write_text(yaml.safe_dump(document))


def _holds(commands: Commands, **variables: str) -> bytes:
    found = _s3(commands, **variables).get_object(Bucket="models", Key="kept")
    return bytes(found["Body"].read())


def test_everything_outside_the_state_bears_the_stacks_id(commands: Commands) -> None:
    known = commands.stack.known_id()
    assert len(known) == 32
    status = cluster.read(commands.name)
    assert status.stack_id == known
    assert status.info is not None
    claim = cluster_claim.read(status.info.kubeconfig)
    assert claim is not None
    assert (claim.stack_id, claim.stack) == (known, commands.name)
    protected = {
        resource["urn"].rpartition("::")[2]
        for resource in commands.stack.resources()
        if resource.get("protect")
    }
    assert {"cluster-node", "s3-data", "s3-namespace", "s3-credentials"} <= protected
    assert {"buckets-models", "buckets-datasets"} <= protected


@pytest.mark.parametrize("command", ["up", "preview", "down"])
def test_another_backend_is_refused_before_its_first_write(
    commands: Commands, backend: dict[str, str], command: str
) -> None:
    done = _run(commands.command(command), **backend)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"id {commands.stack.known_id()}" in done.stderr
    assert str(CHECKOUT / ".state/pulumi") in done.stderr
    assert f"`make takeover STACK={commands.name}`" in done.stderr
    assert f"mlops_infra.node down {commands.name}" in done.stderr
    assert not list(Path(backend["PULUMI_BACKEND_URL"].removeprefix("file://")).rglob("*.json"))
    assert cluster.read(commands.name).health is cluster.Health.HEALTHY


@pytest.mark.parametrize("command", ["up", "down"])
def test_another_checkout_is_refused(commands: Commands, tmp_path: Path, command: str) -> None:
    # The same files; what a checkout has of its own is its state.
    for entry in CHECKOUT.iterdir():
        if entry.name != ".state":
            (tmp_path / entry.name).symlink_to(entry)
    words = commands.command(command)[3:]
    done = _run([sys.executable, "-c", _OTHER_CHECKOUT, str(tmp_path), *words])
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"of the checkout {CHECKOUT}" in done.stderr
    assert cluster.read(commands.name).health is cluster.Health.HEALTHY


def test_a_changed_network_is_refused_with_its_cause_and_loses_nothing(commands: Commands) -> None:
    _configure(commands, clusterNetwork="10.231.0.0/16")
    done = commands.run("up", check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "this would take its data away; nothing was changed" in done.stderr
    assert "(setting clusterNetwork)" in done.stderr
    assert "REPLACE=cluster-node" in done.stderr
    shown = commands.run("preview").stdout
    assert "these hold data, which would be lost" in shown
    _configure(commands, clusterNetwork="auto")
    assert _holds(commands) == b"data"


def test_a_full_bucket_refuses_the_destroy(commands: Commands) -> None:
    done = commands.run("down", check=False)
    assert done.returncode == 1
    assert "holds data in models; nothing was destroyed" in done.stderr
    assert _holds(commands) == b"data"


def test_a_takeover_takes_up_what_is_there_and_refuses_the_former_stack(
    commands: Commands, backend: dict[str, str]
) -> None:
    for command in ("takeover", "up"):
        done = _run(commands.command(command), **backend)
        assert done.returncode == 0, done.stdout + done.stderr
    assert _holds(commands, **backend) == b"data"
    done = commands.run("up", check=False)
    assert done.returncode == 1
    assert "belongs to stack" in done.stderr
    assert str(backend["PULUMI_BACKEND_URL"]) in done.stderr


def test_a_cluster_deleted_below_a_lasting_stack_comes_back_only_when_asked_for(
    commands: Commands, backend: dict[str, str]
) -> None:
    cluster.delete(commands.name)
    done = _run(commands.command("up"), **backend)
    assert done.returncode == 1
    assert "make up STACK=" in done.stderr
    assert cluster.read(commands.name).health is cluster.Health.ABSENT
    done = _run([*commands.command("up"), "--replace", "cluster-node"], **backend)
    assert done.returncode == 0, done.stdout + done.stderr
    done = _run(commands.command("down"), **backend)
    assert done.returncode == 0, done.stdout + done.stderr
    assert leftovers(commands.name) == ()
