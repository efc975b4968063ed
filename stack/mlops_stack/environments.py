"""`make env`, `make envs`, `make reap`: environments that end by themselves.

What makes a stack an environment are tags in Pulumi's backend (docs/decisions/0008), so that every
checkout with the same backend sees the same environments.
"""

import argparse
import contextlib
import dataclasses
import datetime
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator

import httpx
import yaml
from rich.console import Console
from rich.table import Table

from mlops_infra.node import cluster
from mlops_infra.node.leftovers import leftovers
from mlops_stack import environment, report
from mlops_stack.lifetime import check_name, parse_ttl, shown
from mlops_stack.pulumi_cli import PulumiError, Stack
from mlops_stack.settings import PROJECT, SettingsError, check_stack_name, parse
from mlops_stack.status import status
from mlops_stack.up import up
from mlops_toolchain import layout

_TAG = "mlops:"


class BusyError(Exception):
    """Another command of this checkout works on the environment."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Environment:
    """One environment as its tags describe it; times are seconds since the epoch."""

    name: str
    provider: str
    template: str
    host: str
    created: float
    expires: float
    state: str

    @property
    def here(self) -> bool:
        """Return whether this machine can destroy it: an embedded cluster lives on one machine."""
        return self.provider != "embedded" or self.host == socket.gethostname()


def template_provider(template: str) -> str:
    """Return who runs the template's cluster.

    Raises:
        SettingsError: no such template, or one that must not be thrown away.
    """
    file = layout.checkout() / f"Pulumi.{check_stack_name(template)}.yaml"
    if not file.exists():
        raise SettingsError(f"TEMPLATE={template}: there is no {file.name}; write it or use dev")
    content = yaml.safe_load(file.read_text()) or {}
    values = {
        key.removeprefix(f"{PROJECT}:"): str(value)
        for key, value in (content.get("config") or {}).items()
        if key.startswith(f"{PROJECT}:")
    }
    settings = parse(values)
    if not settings.ephemeral:
        raise SettingsError(
            f"TEMPLATE={template} is protected (ephemeral: false); use a template that is ephemeral"
        )
    if settings.cluster_provider == "existing":
        raise SettingsError(
            f"TEMPLATE={template} uses an existing cluster, which environments cannot share; "
            "use a template whose clusterProvider makes one"
        )
    return settings.cluster_provider


def create(name: str, ttl: str, template: str) -> bool:
    """Bring an environment up and test it; return whether everything answers.

    Raises:
        SettingsError: name, time to live or template is refused; nothing was changed.
        PulumiError: Pulumi failed; the environment stays listed, and expires all the same.
        BusyError: another command works on it.
    """
    started = time.time()
    check_name(name)
    lifetime = parse_ttl(ttl)
    provider = template_provider(template)
    if (layout.checkout() / f"Pulumi.{name}.yaml").exists():
        raise SettingsError(
            f"{name} has a stack file, so it is a lasting stack; choose another NAME"
        )
    with _lock(name):
        stack = Stack(name, template=template)
        if stack.exists():
            raise SettingsError(
                f"stack {name} exists already; choose another NAME, or `make down STACK={name}`"
            )
        stack.ensure()
        tags = {
            # First: whatever is interrupted after it is reaped.
            "expires": f"{started + lifetime.total_seconds():.0f}",
            "created": f"{started:.0f}",
            "provider": provider,
            "template": template,
            "host": socket.gethostname(),
            "state": "creating",
        }
        for key, value in tags.items():
            stack.set_tag(_TAG + key, value)
        healthy = False
        try:
            up(stack, started=started)
            healthy = status(stack) and _model_is_registered(stack)
        finally:
            with contextlib.suppress(PulumiError):  # what went wrong first is what counts
                stack.set_tag(f"{_TAG}state", "up" if healthy else "failed")
    end = datetime.datetime.fromtimestamp(started + lifetime.total_seconds(), datetime.UTC)
    report.plain(f"expires {end:%Y-%m-%d %H:%M} UTC; `make reap` then destroys it")
    return healthy


def found() -> list[Environment]:
    """Return the environments that the backend knows, by name."""
    known = []
    for name in Stack.names():
        try:
            tags = Stack(name).tags()
        except PulumiError:
            if Stack(name).exists():
                raise
            continue  # another reaper has just finished with it
        if f"{_TAG}expires" not in tags:
            continue
        expires = float(tags[f"{_TAG}expires"])
        known.append(
            Environment(
                name=name,
                provider=tags.get(f"{_TAG}provider", "embedded"),
                template=tags.get(f"{_TAG}template", "dev"),
                host=tags.get(f"{_TAG}host", ""),
                created=float(tags.get(f"{_TAG}created", expires)),
                expires=expires,
                state=tags.get(f"{_TAG}state", "failed"),
            )
        )
    return sorted(known, key=lambda known: known.name)


def show(as_json: bool) -> None:
    """Print the environments: a table on a terminal, tab-separated lines elsewhere, or JSON."""
    now, known = time.time(), found()
    if as_json:
        report.plain(json.dumps([dataclasses.asdict(e) for e in known], indent=2))
        return
    headings = ("NAME", "PROVIDER", "AGE", "LEFT", "STATE")
    rows = [
        (e.name, e.provider, shown(now - e.created), shown(e.expires - now), e.state) for e in known
    ]
    if not sys.stdout.isatty():
        for row in (headings, *rows):
            report.plain("\t".join(row))
        return
    table = Table(*headings)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def reap() -> bool:
    """Destroy what has expired; return whether nothing of it resists."""
    resisting = 0
    for expired in [e for e in found() if e.expires <= time.time()]:
        try:
            _reap(expired)
        except BusyError as problem:
            report.plain(f"• {problem}")
        except (PulumiError, SettingsError, OSError, RuntimeError) as problem:
            resisting += 1
            report.error(f"{expired.name} resists: {problem}; `make reap` tries it again")
    report.plain(f"environments that resist: {resisting}")
    return not resisting


def _reap(expired: Environment) -> None:
    if not expired.here:
        report.plain(f"• {expired.name} lives on {expired.host}; run `make reap` there")
        return
    if (layout.checkout() / f"Pulumi.{expired.name}.yaml").exists():
        raise SettingsError(f"{expired.name} has a stack file, so it is a lasting stack")
    with _lock(expired.name):
        stack = Stack(expired.name, template=expired.template)
        if not stack.exists():  # another reaper was faster
            return
        stack.set_tag(f"{_TAG}state", "reaping")
        try:
            template_provider(expired.template)
            with report.phase(f"reap {expired.name}"):
                stack.ensure()
                stack.run("destroy", "--yes", "--skip-preview")
                if expired.provider == "embedded":
                    cluster.delete(expired.name)
                    if left := leftovers(expired.name):
                        raise PulumiError(f"left over: {'; '.join(map(str, left))}")
                # Last: a stack that is forgotten cannot be tried again.
                stack.remove()
        except BaseException:
            with contextlib.suppress(PulumiError):
                stack.set_tag(f"{_TAG}state", "failed")
            raise


def _model_is_registered(stack: Stack) -> bool:
    outputs = stack.outputs()
    try:
        answer = httpx.get(
            f"{outputs['mlflow_url']}/api/2.0/mlflow/model-versions/get",
            params={"name": outputs["model_name"], "version": outputs["model_version"]},
            timeout=30,
        )
    except (httpx.HTTPError, KeyError) as problem:
        report.plain(f"✗ the model's version cannot be read: {problem!r}")
        return False
    report.plain(f"{'✓' if answer.is_success else '✗'} model version in the registry")
    return answer.is_success


@contextlib.contextmanager
def _lock(name: str) -> Iterator[None]:
    folder = environment.state_dir() / "environments"
    folder.mkdir(parents=True, exist_ok=True)
    # The file stays: a lock on a file that another has deleted excludes nobody.
    with (folder / f"{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"{name} is being created or reaped by another command") from error
        yield


def _refuse_keeping() -> None:
    """Refuse rather than destroy what somebody believes is kept: Make passes its variables on."""
    for variable in ("KEEP", "RESTORE"):
        if os.environ.get(variable):
            raise SettingsError(
                f"{variable} is not offered by environments; copy the data through S3 and MLflow, "
                f"then run the command without {variable}. Nothing was changed"
            )


def main() -> int:
    """Run a command; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="mlops_stack.environments", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("create")
    making.add_argument("--name", required=True)
    making.add_argument("--ttl", required=True)
    making.add_argument("--template", default="dev")
    commands.add_parser("list").add_argument("--format", default="", choices=["", "table", "json"])
    commands.add_parser("reap")
    arguments = parser.parse_args()
    try:
        _refuse_keeping()
        match arguments.command:
            case "create":
                return 0 if create(arguments.name, arguments.ttl, arguments.template) else 1
            case "list":
                show(arguments.format == "json")
                return 0
            case _:
                return 0 if reap() else 1
    except (BusyError, PulumiError, SettingsError) as problem:
        report.error(str(problem))
        return 1
    except KeyboardInterrupt:
        report.error("interrupted; `make envs` shows the state, `make reap` destroys what expired")
        return 130


if __name__ == "__main__":
    sys.exit(main())
