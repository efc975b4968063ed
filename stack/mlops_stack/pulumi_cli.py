"""Runs the Pulumi CLI on a stack of this checkout."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlops_policies import rules
from mlops_stack import environment
from mlops_stack.settings import PROJECT, Settings, check_stack_name, parse
from mlops_toolchain import layout

# Names the stack whose file configures an environment (docs/decisions/0008).
TEMPLATE_TAG = "mlops:template"


class PulumiError(Exception):
    """The Pulumi CLI failed; it has already said why."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What the engine reports of a preview.

    Attributes:
        events: the engine's events, in their order.
        succeeded: whether the preview ended well.
    """

    events: list[dict[str, Any]]
    succeeded: bool


class Stack:
    """One stack, created on first use.

    The engine writes a salt into the stack's configuration file. The committed file must not
    change with each checkout, so commands run with a copy of it.

    Attributes:
        name: the stack's name.
    """

    def __init__(self, name: str, *, template: str | None = None) -> None:
        """Name a stack.

        Args:
            name: the stack's name.
            template: the stack whose file configures it; by default itself, and for an environment
                the template that its tag names.
        """
        self.name = name
        self._environment = {**os.environ, **environment.variables()}
        self._source = layout.checkout() / f"Pulumi.{name}.yaml"
        self._config = environment.state_dir() / "config" / self._source.name
        self._template = template

    def exists(self) -> bool:
        """Return whether the backend knows the stack."""
        return self.name in self.names()

    def aws_region(self) -> str | None:
        """Return the AWS region of a stack on EKS, None for a stack elsewhere."""
        values = _project_values(self.file())
        if values.get("clusterProvider") != "eks":
            return None
        return str(values.get("awsRegion", Settings.model_fields["aws_region"].default))

    def file(self) -> Path:
        """Return the file that configures the stack: its own, or that of an environment's template.

        It need not exist: a stack may have no configuration.

        Raises:
            PulumiError: the template's file is not in this checkout.
            SettingsError: the tag names no template.
        """
        if self._template is None:
            self._template = self.name
            if not self._source.exists() and self.exists():
                self._template = check_stack_name(self.tags().get(TEMPLATE_TAG, self.name))
        found = layout.checkout() / f"Pulumi.{self._template}.yaml"
        if self._template != self.name and not found.exists():
            raise PulumiError(
                f"stack {self.name} was made from {found.name}, which this checkout does not have; "
                "bring the file back, or run the command where it is"
            )
        return found

    @property
    def from_template(self) -> bool:
        """Return whether another stack's file configures it."""
        return self.file() != self._source

    def settings(self) -> Settings:
        """Return what the stack's file configures.

        Raises:
            PulumiError: see `file`.
            SettingsError: the configuration is wrong.
        """
        return settings_in(self.file())

    def ensure(self, **values: str) -> None:
        """Create the stack unless it exists, and take its configuration as it is now.

        Args:
            values: configuration keys of this project that differ from the file, for the next
                command alone.

        Raises:
            PulumiError: Pulumi failed, or see `file`.
            SettingsError: see `file`.
        """
        self._copy_config(values)
        if not self.exists():
            # `stack init` writes into the committed file.
            before = self._source.read_bytes() if self._source.exists() else None
            try:
                self._capture("stack", "init", self.name, "--no-select")
            finally:
                if before is None:
                    self._source.unlink(missing_ok=True)
                else:
                    self._source.write_bytes(before)

    def run(self, *arguments: str, **variables: str) -> None:
        """Run a command whose output the user sees.

        Args:
            arguments: the command and its options.
            variables: further variables of its environment.

        Raises:
            PulumiError: it failed.
            KeyboardInterrupt: the user interrupted it, and it has ended.
        """
        self._clear_stale_lock()
        process = subprocess.Popen(
            [self._executable(), *self._options(arguments)],
            env={**self._environment, **variables},
            cwd=layout.checkout(),
        )
        code = _wait(process)
        if code:
            raise PulumiError(f"`pulumi {arguments[0]}` ended with exit code {code}")

    def capture_run(self, *arguments: str) -> str:
        """Run a command on the stack and return what it prints.

        Raises:
            PulumiError: it failed.
        """
        self._clear_stale_lock()
        return self._capture(*self._options(arguments))

    def preview_events(self, *arguments: str, **variables: str) -> Preview:
        """Run a preview and return what the engine reports, whether it succeeds or not.

        Args:
            arguments: options of the preview.
            variables: further variables of its environment.

        Raises:
            PulumiError: it failed before the engine began.
            KeyboardInterrupt: the user interrupted it, and it has ended.
        """
        self._clear_stale_lock()
        process = subprocess.Popen(
            [self._executable(), *self._options(("preview", "--json", *arguments))],
            env={
                **self._environment,
                "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true",
                **variables,
            },
            cwd=layout.checkout(),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        with process.stdout as stream:
            events = [json.loads(line) for line in stream if line.startswith("{")]
        code = _wait(process)
        if code and not events:
            raise PulumiError(f"`pulumi preview` ended with exit code {code}")
        return Preview(events=events, succeeded=code == 0)

    def policies(self) -> tuple[str, ...]:
        """Return the options that apply the project's policies, as the stack tunes them.

        Needs `ensure` first.

        Raises:
            PolicyConfigError: the stack's configuration of the policies is wrong.
        """
        values = _project_values(self._config)
        config = {key: value for key, value in values.items() if isinstance(value, str)}
        file = self._config.with_suffix(".policies.json")
        file.write_text(json.dumps(rules.pack_config(config), indent=2))
        pack = Path(__file__).resolve().parents[2] / "policies"
        return ("--policy-pack", str(pack), "--policy-pack-config", str(file))

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs, secrets included."""
        text = self._capture("stack", "output", "--json", "--show-secrets", "--stack", self.name)
        outputs: dict[str, Any] = json.loads(text)
        return outputs

    @property
    def make_argument(self) -> str:
        """What a line that names a command ends with: nothing for the stack that `make` takes."""
        return "" if self.name == "dev" else f" STACK={self.name}"

    def outputs_when_up(self, needed: str = "kubeconfig") -> dict[str, Any]:
        """Return the outputs of a stack that is up, secrets included.

        Args:
            needed: the output that tells that it is.

        Raises:
            PulumiError: it is not up.
        """
        outputs = self.outputs() if self.exists() else {}
        if not outputs.get(needed):
            raise PulumiError(f"stack {self.name} is not up; run `make up STACK={self.name}`")
        return outputs

    def resources(self) -> list[dict[str, Any]]:
        """Return the resources in the stack's state, without the stack itself."""
        exported = json.loads(self._capture("stack", "export", "--stack", self.name))
        resources = exported.get("deployment", {}).get("resources") or []
        return [found for found in resources if found["type"] != "pulumi:pulumi:Stack"]

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of the stacks that the backend knows."""
        stacks = json.loads(cls("")._capture("stack", "ls", "--json"))
        return [cls._short(stack["name"]) for stack in stacks]

    @staticmethod
    def configured() -> list[str]:
        """Return the names of the stacks that have a file in this checkout."""
        files = layout.checkout().glob("Pulumi.*.yaml")
        return sorted(file.name.removeprefix("Pulumi.").removesuffix(".yaml") for file in files)

    def tags(self) -> dict[str, str]:
        """Return the stack's tags."""
        tags: dict[str, str] = json.loads(
            self._capture("stack", "tag", "ls", "--json", "--stack", self.name)
        )
        return tags

    def set_tag(self, key: str, value: str) -> None:
        """Set a tag of the stack, which the backend keeps."""
        self._capture("stack", "tag", "set", key, value, "--stack", self.name)

    def remove(self) -> None:
        """Forget the stack; its configuration file stays."""
        self._capture("stack", "rm", "--yes", "--preserve-config", "--stack", self.name)

    def _options(self, arguments: tuple[str, ...]) -> list[str]:
        return [*arguments, "--stack", self.name, "--config-file", str(self._config)]

    def _executable(self) -> str:
        found = shutil.which("pulumi", path=self._environment["PATH"])
        if found is None:
            raise PulumiError("pulumi is not there; run `make toolchain`")
        return found

    def _capture(self, *arguments: str) -> str:
        result = subprocess.run(
            [self._executable(), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            cwd=layout.checkout(),
        )
        if result.returncode:
            raise PulumiError(f"`pulumi {' '.join(arguments)}` failed: {result.stderr.strip()}")
        return result.stdout

    def _copy_config(self, values: Mapping[str, str]) -> None:
        source = self.file()
        self._config.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text() if source.exists() else ""
        if values:
            document = yaml.safe_load(text) or {}
            ours = {f"{PROJECT}:{key}": value for key, value in values.items()}
            document["config"] = {**(document.get("config") or {}), **ours}
            text = yaml.safe_dump(document)
        self._config.write_text(text)

    def _clear_stale_lock(self) -> None:
        """Remove the lock of a command on this machine that no longer runs."""
        folder = environment.state_dir() / "pulumi/.pulumi/locks"
        for lock in folder.rglob("*.json"):
            if lock.parent.name == self.name and not _holder_runs(lock):
                lock.unlink(missing_ok=True)

    @staticmethod
    def _short(name: str) -> str:
        return name.rpartition("/")[2]


def settings_in(file: Path) -> Settings:
    """Return what a stack's file configures; the defaults when there is no file.

    Raises:
        SettingsError: the configuration is wrong.
    """
    return parse({key: _text(value) for key, value in _project_values(file).items()})


def _project_values(file: Path) -> dict[str, Any]:
    """Return what a stack's file configures of this project; nothing when there is no file."""
    document = yaml.safe_load(file.read_text()) if file.exists() else None
    prefix = f"{PROJECT}:"
    return {
        key.removeprefix(prefix): value
        for key, value in ((document or {}).get("config") or {}).items()
        if key.startswith(prefix)
    }


def _text(value: object) -> str:
    """Return a value of YAML as `pulumi config` holds it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _wait(process: subprocess.Popen[Any]) -> int:
    """Return the exit code; an interruption reaches Pulumi too, which ends in order by itself."""
    interrupted = False
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            interrupted = True
        else:
            break
    if interrupted:
        raise KeyboardInterrupt
    return code


def _holder_runs(lock: Path) -> bool:
    """Return whether the lock's holder runs, or may do so on another machine."""
    try:
        holder = json.loads(lock.read_text())
        pid, host = int(holder["pid"]), holder.get("hostname", "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return True
    if host and host != socket.gethostname():
        return True
    with contextlib.suppress(OSError):
        # pid (name) state: by name too, since after a reboot the number belongs to another program.
        # A killed process is a zombie until its parent, or init, has asked for its exit code.
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(") ")
        return name.startswith("pulumi") and rest[0] not in "ZX"
    return False
