"""`make rehearse`: the AWS stack up and down through Pulumi's engine, with moto as AWS.

Needs no account: a moto server on loopback plays AWS, and the stand-in in
`plugins/mlops_aws_standin` plays Pulumi's plugin. What this proves is the program, its inputs and
its order; what AWS itself would say to them it cannot tell.
"""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import httpx

from mlops_stack import aws_leftovers, environment, report
from mlops_stack.pulumi_cli import PulumiError
from mlops_toolchain import layout

_STACK = "rehearsal"
_REGION = "eu-central-1"
_START_SECONDS = 60
_UNCHECKED = "EKS add-ons, access entries, access policies, Pod Identity associations"


class RehearsalError(Exception):
    """The rehearsal cannot begin, or AWS is not as it was; the message says what is wrong."""


def rehearse(preset: str = "trial", *, database: bool = True) -> None:
    """Preview, bring up, compare, refresh and destroy the AWS stack.

    Raises:
        PulumiError: a step failed; Pulumi has said why.
        RehearsalError: something is left, or moto did not start.
    """
    with tempfile.TemporaryDirectory(prefix="mlops-rehearsal-") as name:
        folder = Path(name)
        with _moto(folder) as endpoint:
            environ = _environment(folder, endpoint)
            config = _config(folder, preset, database=database)
            _steps(environ, config, endpoint)
            _prove(folder, endpoint)


def _steps(environ: dict[str, str], config: Path, endpoint: str) -> None:
    options = ["--stack", _STACK, "--config-file", str(config), "--non-interactive"]
    _pulumi(environ, "stack", "init", _STACK, "--no-select")
    # `stack init` writes the salt of the passphrase beside the program.
    (layout.checkout() / f"Pulumi.{_STACK}.yaml").unlink(missing_ok=True)
    for title, arguments in (
        ("preview", ["preview"]),
        ("up", ["up", "--yes", "--skip-preview"]),
        ("preview without change", ["preview", "--expect-no-changes"]),
        ("refresh", ["refresh", "--yes", "--skip-preview", "--expect-no-changes", "--diff"]),
        ("destroy", ["destroy", "--yes", "--skip-preview"]),
    ):
        if title == "destroy" and not _leftovers(endpoint):
            raise RehearsalError("nothing is found of a stack that is up: the proof is blind")
        with report.phase(f"rehearsal: {title}"):
            _pulumi(environ, *arguments, *options)


def _leftovers(endpoint: str) -> list[str]:
    """Ask moto, as a user of AWS whose environment names it."""
    before = dict(os.environ)
    os.environ.update(_credentials(endpoint))
    try:
        return aws_leftovers.leftovers(_STACK, _REGION)
    finally:
        os.environ.clear()
        os.environ.update(before)


def _prove(folder: Path, endpoint: str) -> None:
    found = _leftovers(endpoint)
    state = folder / "unchecked.json"
    kept = json.loads(state.read_text()) if state.exists() else {}
    found += [f"{kind} {identity}" for kind, all_ in kept.items() for identity in all_]
    for leftover in found:
        report.plain(f"  {leftover}")
    report.plain(f"not checked by moto: {_UNCHECKED}")
    report.plain(f"leftovers: {len(found)}")
    if found:
        raise RehearsalError(f"{len(found)} things are left in moto after the destroy")


def _config(folder: Path, preset: str, *, database: bool) -> Path:
    file = folder / f"Pulumi.{_STACK}.yaml"
    values = {
        "clusterProvider": "eks",
        "layers": "infra",
        "awsRegion": _REGION,
        "awsPreset": preset,
        "awsDatabase": str(database).lower(),
        "awsApiCidrs": "203.0.113.0/24",
        "awsAdministrators": "arn:aws:iam::123456789012:role/platform",
        "owner": "rehearsal@example.org",
        "expires": "2030-01-31",
        "ephemeral": "true",
    }
    lines = [f"  mlops-platform:{key}: {json.dumps(value)}" for key, value in values.items()]
    file.write_text("\n".join(["config:", *lines, ""]))
    return file


def _credentials(endpoint: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "rehearsal",
        "AWS_SECRET_ACCESS_KEY": "rehearsal",
        "AWS_REGION": _REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _environment(folder: Path, endpoint: str) -> dict[str, str]:
    """Return an environment with a backend and a plugin folder of its own."""
    ours = environment.variables()
    home = folder / "home"
    plugins = home / "plugins"
    plugins.mkdir(parents=True)
    for found in Path(ours["PULUMI_HOME"], "plugins").glob("resource-*"):
        # The engine keeps notes of each plugin's last use beside it.
        if found.is_dir() and not found.name.startswith("resource-aws-"):
            # The engine does not look behind links.
            shutil.copytree(found, plugins / found.name)
    place = plugins / f"resource-aws-v{version('pulumi-aws')}"
    place.mkdir()
    launcher = place / "pulumi-resource-aws"
    command = shlex.join([sys.executable, "-m", "mlops_aws_standin"])
    launcher.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    launcher.chmod(0o755)
    (folder / "backend").mkdir()
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PULUMI_"))}
    return {
        **inherited,
        **ours,
        "PULUMI_HOME": str(home),
        "PULUMI_BACKEND_URL": f"file://{folder / 'backend'}",
        "PULUMI_CONFIG_PASSPHRASE": "rehearsal",
        "MLOPS_AWS_STANDIN_STATE": str(folder / "unchecked.json"),
        **_credentials(endpoint),
    }


def _pulumi(environ: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        ["pulumi", *arguments],
        env=environ,
        cwd=layout.checkout(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PulumiError(
            f"`pulumi {arguments[0]}` ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout


@contextmanager
def _moto(folder: Path) -> Iterator[str]:
    """Run a moto server on loopback until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "moto.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=log,
            env={
                **os.environ,
                "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
                # So that a policy of AWS that does not exist is refused.
                "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
            },
        )
        endpoint = f"http://127.0.0.1:{port}"
        try:
            _await(endpoint, process)
            yield endpoint
        finally:
            process.terminate()
            process.wait()


def _await(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{endpoint}/moto-api/").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RehearsalError("the moto server did not start; run `uv sync --locked` and try again")
