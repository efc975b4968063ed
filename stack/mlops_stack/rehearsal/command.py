"""The AWS stack up and down through Pulumi's engine, with moto as AWS and a cluster as EKS.

Needs no account. What this proves is the program, its inputs and its order, and that the platform
runs on what the program makes; what AWS itself would say it cannot tell.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops_infra.aws.presets import PRESETS, PresetName
from mlops_policies import rules
from mlops_stack import aws_leftovers, composition, report, settings
from mlops_stack.pulumi_cli import PulumiError
from mlops_stack.rehearsal import eks, moto_server, order, sandbox_env
from mlops_stack.rehearsal.errors import RehearsalError
from mlops_stack.rehearsal.moto_server import ACCOUNT, REGION
from mlops_toolchain import layout

STACK = "rehearsal"
REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/mlops-{STACK}"
_WHOLE = {
    "clusterProvider": "eks",
    "imageRegistry": REGISTRY,
    "owner": "rehearsal@example.org",
}
_UNCHECKED = (
    "Data Lifecycle Manager, EKS add-ons, access entries, access policies, "
    "Pod Identity associations, conditions of bucket policies"
)


def rehearse(presets: Sequence[PresetName] = tuple(PRESETS)) -> None:
    """Bring the AWS stack up and down in each size; in the first one with platform and workloads.

    Raises:
        NodeError: the cluster that plays EKS does not start.
        PulumiError: a step failed; Pulumi has said why.
        RehearsalError: something is left, or moto did not start.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mlops-rehearsal-") as name:
        folder = Path(name)
        report.plain("• rehearsal: a cluster in the place of EKS")
        with (
            eks.play(folder, REGISTRY, composition.images(settings.parse(_WHOLE))) as played,
            moto_server.serve(folder / "moto.log", played.host_address) as endpoint,
        ):
            played.serve_metadata(endpoint)
            rehearsal = Rehearsal.prepare(folder, endpoint, played)
            for index, preset in enumerate(presets):
                rehearsal.run(preset, whole=index == 0)
    report.plain(f"not checked by moto: {_UNCHECKED}")
    report.plain("not rehearsed: a run of the pipeline (pipelineRun is false)")
    report.plain(f"leftovers: 0 ({time.monotonic() - started:.0f} s)")


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """A stack of its own, with a backend and plugins of its own.

    Attributes:
        folder: for all that it writes.
        endpoint: URL of moto.
        played: the cluster in the place of EKS.
        environ: variables of the Pulumi CLI.
    """

    folder: Path
    endpoint: str
    played: eks.PlayedEks
    environ: dict[str, str]

    @classmethod
    def prepare(cls, folder: Path, endpoint: str, played: eks.PlayedEks) -> "Rehearsal":
        """Make the backend and the plugin folder."""
        (folder / "backend").mkdir()
        environ = {
            **sandbox_env.variables(
                folder,
                aws=endpoint,
                kubernetes=played.endpoint,
                authority=played.authority,
                programs=played.programs,
            ),
            "PULUMI_BACKEND_URL": f"file://{folder / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE": "rehearsal",
            # For the log of the engine's events.
            "PULUMI_DEBUG_COMMANDS": "true",
        }
        made = cls(folder=folder, endpoint=endpoint, played=played, environ=environ)
        made.pulumi("stack", "init", STACK, "--no-select")
        # `stack init` writes the salt of the passphrase beside the program.
        (layout.checkout() / f"Pulumi.{STACK}.yaml").unlink(missing_ok=True)
        return made

    def run(self, preset: PresetName, *, whole: bool) -> None:
        """Go through the life of a stack of one size.

        Args:
            preset: the size.
            whole: with platform and workloads, and with a refresh.

        Raises:
            PulumiError: a step failed.
            RehearsalError: something is left.
        """
        options = self.options(preset, layers="all" if whole else "infra")
        policies = self.policies()
        steps: list[tuple[str, list[str]]] = [
            ("preview", ["preview", *policies]),
            ("up", ["up", "--yes", "--skip-preview", *policies]),
            ("preview without change", ["preview", "--expect-no-changes"]),
        ]
        if whole:
            steps.append(
                ("refresh", ["refresh", "--yes", "--skip-preview", "--expect-no-changes", "--diff"])
            )
        else:
            del steps[0]
        for title, arguments in steps:
            with report.phase(f"rehearsal: {preset}: {title}"):
                self.pulumi(*arguments, *options)
        if not self.leftovers():
            raise RehearsalError("nothing is found of a stack that is up: the proof is blind")
        with report.phase(f"rehearsal: {preset}: destroy"):
            log = self.folder / "destroy.events"
            self.pulumi("destroy", "--yes", "--skip-preview", "--event-log", str(log), *options)
        if whole and (wrong := order.problems(order.deletions(log))):
            raise RehearsalError(f"destroyed in the wrong order: {'; '.join(wrong)}")
        log.unlink()
        found = [*self.leftovers(), *self.played.leftovers()]
        for leftover in found:
            report.plain(f"  {leftover}")
        if found:
            raise RehearsalError(f"{len(found)} things are left after the destroy")

    def options(self, preset: PresetName, *, layers: str) -> list[str]:
        """Write the stack's configuration, and return the options that name it."""
        file = self.folder / f"Pulumi.{STACK}.yaml"
        values = {
            **_WHOLE,
            "layers": layers,
            "awsRegion": REGION,
            "awsPreset": preset,
            "awsDatabase": "true",
            "awsApiCidrs": "203.0.113.0/24",
            "awsAdministrators": f"arn:aws:iam::{ACCOUNT}:role/platform",
            "awsS3Endpoint": self.endpoint,
            "nodeAddress": self.played.node_address,
            "expires": "2030-01-31",
            "ephemeral": "true",
            "pipelineRun": "false",
            "stackId": "rehearsal",
        }
        lines = [f"  mlops-platform:{key}: {json.dumps(value)}" for key, value in values.items()]
        file.write_text("\n".join(["config:", *lines, ""]))
        return ["--stack", STACK, "--config-file", str(file), "--non-interactive"]

    def policies(self) -> list[str]:
        """Return the options that let every rule judge the stack."""
        file = self.folder / "policies.json"
        file.write_text(json.dumps(rules.pack_config({})))
        pack = layout.checkout() / "policies"
        return ["--policy-pack", str(pack), "--policy-pack-config", str(file)]

    def leftovers(self) -> list[str]:
        """Return what AWS has of the stack, asked as a user whose environment names moto."""
        before = dict(os.environ)
        os.environ.update(moto_server.credentials(self.endpoint))
        try:
            found = aws_leftovers.leftovers(STACK, REGION)
        finally:
            os.environ.clear()
            os.environ.update(before)
        state = sandbox_env.kept_file(self.folder)
        kept = json.loads(state.read_text()) if state.exists() else {}
        return found + [f"{kind} {identity}" for kind, all_ in kept.items() for identity in all_]

    def pulumi(self, *arguments: str) -> str:
        """Run the Pulumi CLI and return what it prints.

        Raises:
            PulumiError: it failed.
        """
        done = subprocess.run(
            ["pulumi", *arguments],
            env=self.environ,
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
