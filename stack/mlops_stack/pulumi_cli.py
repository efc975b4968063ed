"""Runs the Pulumi CLI on a stack of this checkout."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlops_infra import stack_identity
from mlops_policies import rules
from mlops_stack import environment
from mlops_stack.settings import PROJECT, Settings, check_stack_name, parse
from mlops_toolchain import layout

# Names the stack whose file configures an environment (docs/decisions/0008).
TEMPLATE_TAG = "mlops:template"
# Holds the id of a stack that has taken a cluster over, until an update puts it into the state.
ID_TAG = "mlops:id"
# The id of the stack that the cluster was taken over from.
FORMER_TAG = "mlops:former-id"


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
        self._id = ""
        self._id_to_be = stack_identity.new_id()

    def exists(self) -> bool:
        """Return whether the backend knows the stack."""
        return self._has_local_state() or self.name in self.names()

    def values(self) -> dict[str, Any]:
        """Return what the stack's file configures of this project, unchecked."""
        return _project_values(self.file())

    def provider(self) -> str:
        """Return who runs the stack's cluster."""
        default = Settings.model_fields["cluster_provider"].default
        return str(self.values().get("clusterProvider", default))

    def aws_region(self) -> str | None:
        """Return the AWS region of a stack on EKS, None for a stack elsewhere."""
        if self.provider() != "eks":
            return None
        return str(self.values().get("awsRegion", Settings.model_fields["aws_region"].default))

    def known_id(self) -> str:
        """Return the id that the backend holds for the stack; empty before an update with one."""
        if not self._id:
            # A takeover gives the stack its id before there is an update.
            self._id = _id_in(self.state()) or self._tag(ID_TAG)
        return self._id

    def stack_id(self) -> str:
        """Return the stack's id; one that the next update puts into the state if it has none."""
        return self.known_id() or self._id_to_be

    def knows(self, kind: str) -> bool:
        """Return whether the state has a resource of a type, or an update began to make one."""
        state = self.state()
        pending = [operation["resource"] for operation in state.get("pending_operations") or []]
        return any(found["type"] == kind for found in [*(state.get("resources") or []), *pending])

    @property
    def own_file(self) -> Path:
        """The file of the stack's name, which need not exist."""
        return self._source

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
        there = self.exists()
        self._copy_config(values, there=there)
        if not there:
            # `stack init` writes a configuration file beside the project's: not into the checkout,
            # where an interrupted command would leave it, and a file makes a lasting stack.
            with tempfile.TemporaryDirectory() as folder:
                shutil.copy(layout.checkout() / "Pulumi.yaml", folder)
                self._capture("stack", "init", self.name, "--no-select", folder=Path(folder))

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

    def resources(self, *, show_secrets: bool = False) -> list[dict[str, Any]]:
        """Return the resources in the stack's state, without the stack itself.

        Args:
            show_secrets: secrets are readable, by `plain`, instead of encrypted.
        """
        resources = self.state(show_secrets=show_secrets).get("resources") or []
        return [found for found in resources if found["type"] != "pulumi:pulumi:Stack"]

    def state(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """Return the deployment in the stack's state: resources, pending operations."""
        return dict(self.export(show_secrets=show_secrets).get("deployment") or {})

    def export(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """Return the stack's state as Pulumi exports it; empty for a stack that does not exist."""
        options = ("--show-secrets",) if show_secrets else ()
        try:
            text = self._capture("stack", "export", *options, "--stack", self.name)
        except PulumiError:
            if self.exists():
                raise
            return {}
        return dict(json.loads(text))

    def import_state(self, exported: Mapping[str, Any]) -> None:
        """Put another state in the place of the stack's.

        Args:
            exported: what `export` has given, changed.

        Raises:
            PulumiError: Pulumi refuses it.
        """
        self._clear_stale_lock()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "state.json")
            file.touch(mode=0o600)
            file.write_text(json.dumps(exported))
            self._capture("stack", "import", "--file", str(file), "--stack", self.name)

    def unprotect(self) -> None:
        """Let every resource of the stack be deleted."""
        self._clear_stale_lock()
        self._capture("state", "unprotect", "--all", "--yes", "--stack", self.name)

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

    def _tag(self, key: str) -> str:
        return self.tags().get(key, "") if self.exists() else ""

    def set_tag(self, key: str, value: str) -> None:
        """Set a tag of the stack, which the backend keeps."""
        self._capture("stack", "tag", "set", key, value, "--stack", self.name)

    def remove(self) -> None:
        """Forget the stack, with what this checkout keeps of its states; its own file stays."""
        self._capture("stack", "rm", "--yes", "--preserve-config", "--stack", self.name)
        # Pulumi leaves copies of the states, with the encrypted keys of what is gone.
        for kept in ("backups", "history", "stacks"):
            folder = environment.local_stacks().with_name(kept)
            for left in folder.glob(f"**/{self.name}*"):
                if left.name.partition(".")[0] != self.name:
                    continue
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)
        for left in self._config.parent.glob(f"{self._config.stem}.*"):
            left.unlink(missing_ok=True)

    def _options(self, arguments: tuple[str, ...]) -> list[str]:
        return [*arguments, "--stack", self.name, "--config-file", str(self._config)]

    def _executable(self) -> str:
        found = shutil.which("pulumi", path=self._environment["PATH"])
        if found is None:
            raise PulumiError("pulumi is not there; run `make toolchain`")
        return found

    def _capture(self, *arguments: str, folder: Path | None = None) -> str:
        result = subprocess.run(
            [self._executable(), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            cwd=folder or layout.checkout(),
        )
        if result.returncode:
            raise PulumiError(f"`pulumi {' '.join(arguments)}` failed: {result.stderr.strip()}")
        return result.stdout

    def _has_local_state(self) -> bool:
        """Return whether the stack's state is among this checkout's files.

        It is asked for often, and each start of Pulumi takes a third of a second.
        """
        ours = environment.is_local(self._environment)
        return ours and (environment.local_stacks() / PROJECT / f"{self.name}.json").is_file()

    def _copy_config(self, values: Mapping[str, str], *, there: bool) -> None:
        source = self.file()
        self._config.parent.mkdir(parents=True, exist_ok=True)
        document = yaml.safe_load(source.read_text()) if source.exists() else None
        document = document or {}
        # Read once, and of a stack that there is: each start of Pulumi takes a third of a second.
        state, tags = (self.state(), self.tags()) if there else ({}, {})
        self._id = self._id or _id_in(state) or tags.get(ID_TAG, "")
        told = {"stackId": self._id or self._id_to_be, **self._chosen(state), **values}
        if former := tags.get(FORMER_TAG):
            told["formerStackId"] = former
        ours = {f"{PROJECT}:{key}": value for key, value in told.items()}
        document["config"] = {**(document.get("config") or {}), **ours}
        self._config.write_text(yaml.safe_dump(document))

    def _chosen(self, state: Mapping[str, Any]) -> dict[str, str]:
        """Return what a state says was chosen when the stack was made, if its file says nothing.

        A default that has changed since is no wish of the user's.
        """
        found: dict[str, str] = {}
        for resource in state.get("resources") or []:
            inputs = resource.get("inputs") or {}
            match str(resource["type"]).rpartition(":")[2]:
                case "aws":
                    found["awsRegion"] = str(inputs.get("region") or "")
                case "kubernetes" if str(resource["urn"]).endswith("::cluster-kubernetes"):
                    found["clusterIdentifier"] = str(inputs.get("clusterIdentifier") or "")
        given = self.values()
        return {key: value for key, value in found.items() if value and key not in given}

    def _clear_stale_lock(self) -> None:
        """Remove the lock of a command on this machine that no longer runs."""
        folder = environment.state_dir() / "pulumi/.pulumi/locks"
        for lock in folder.rglob("*.json"):
            if lock.parent.name == self.name and not _holder_runs(lock):
                lock.unlink(missing_ok=True)

    @staticmethod
    def _short(name: str) -> str:
        return name.rpartition("/")[2]


def _id_in(state: Mapping[str, Any]) -> str:
    """Return the stack's id in a state; empty where no update has put one."""
    found = state.get("resources") or []
    return next((str(each["id"]) for each in found if each["type"] == stack_identity.TYPE), "")


def plain(value: Any) -> Any:
    """Return a value of an export with readable secrets."""
    if isinstance(value, Mapping) and "plaintext" in value:
        return json.loads(value["plaintext"])
    return value


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
