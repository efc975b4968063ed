"""A stack of this checkout on AWS, with moto as AWS and a control plane without nodes as EKS."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from mlops_stack.rehearsal import moto_server, sandbox_env
from mlops_stack.rehearsal.moto_server import REGION
from mlops_toolchain import layout
from tests.conformance.control_plane import BINARIES, ControlPlane, control_plane
from tests.conformance.tools import find

PROGRAMS = ("pulumi", "kubectl", *BINARIES)
MISSING = [name for name in PROGRAMS if find(name) is None]
NEEDS_PROGRAMS = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        bool(MISSING), reason=f"{', '.join(MISSING)} not on PATH; run `make toolchain`"
    ),
]


@dataclass(frozen=True, kw_only=True)
class AwsStack:
    """A stack of this checkout that believes moto to be AWS."""

    name: str
    file: Path
    environ: dict[str, str]
    plane: ControlPlane

    @property
    def tag(self) -> list[dict[str, str]]:
        return [{"Key": "mlops-platform/stack", "Value": self.name}]

    def command(self, command: str) -> list[str]:
        return [sys.executable, "-m", "mlops_stack", command, "--stack", self.name]

    def run(self, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(command),
            env={**self.environ, **variables},
            cwd=layout.checkout(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    @contextmanager
    def configured(self, **settings: str) -> Iterator[None]:
        """Change the stack's file for the time of the block."""
        before = self.file.read_text()
        document = yaml.safe_load(before)
        document["config"] |= {f"mlops-platform:{k}": v for k, v in settings.items()}
        self.file.write_text(yaml.safe_dump(document))
        try:
            yield
        finally:
            self.file.write_text(before)

    def up(self) -> None:
        done = self.run("up")
        assert done.returncode == 0, done.stdout

    def client(self, service: str) -> Any:
        make: Any = boto3.client
        return make(
            service,
            region_name=REGION,
            endpoint_url=self.environ["AWS_ENDPOINT_URL"],
            aws_access_key_id="rehearsal",
            aws_secret_access_key="rehearsal",
        )

    def vpc(self) -> str:
        filters = [{"Name": f"tag:{self.tag[0]['Key']}", "Values": [self.name]}]
        return str(self.client("ec2").describe_vpcs(Filters=filters)["Vpcs"][0]["VpcId"])


@contextmanager
def configured_stack(folder: Path) -> Iterator[AwsStack]:
    """Give a stack that is not up yet, with an AWS and a cluster of its own.

    Args:
        folder: for what these write.
    """
    name = f"e2e-aws-{uuid.uuid4().hex[:6]}"
    settings = {
        "clusterProvider": "eks",
        "layers": "infra",
        "awsRegion": REGION,
        "owner": "rehearsal@example.org",
        "ephemeral": "true",
    }
    file = layout.checkout() / f"Pulumi.{name}.yaml"
    file.write_text(
        yaml.safe_dump({"config": {f"mlops-platform:{k}": settings[k] for k in settings}})
    )
    (folder / "plane").mkdir()
    try:
        with (
            control_plane(folder / "plane") as plane,
            moto_server.serve(folder / "moto.log") as endpoint,
        ):
            access = yaml.safe_load(plane.kubeconfig.read_text())
            environ = sandbox_env.variables(
                folder,
                aws=endpoint,
                kubernetes=plane.server,
                authority=access["clusters"][0]["cluster"]["certificate-authority-data"],
                programs=sandbox_env.token_program(
                    folder / "bin", access["users"][0]["user"]["token"]
                ),
            )
            yield AwsStack(name=name, file=file, environ=environ, plane=plane)
    finally:
        file.unlink()
        for kept in (layout.checkout() / ".state" / "config").glob(f"Pulumi.{name}.*"):
            kept.unlink()
