"""The environment in which Pulumi meets the stand-ins instead of AWS."""

import json
import os
import shlex
from pathlib import Path

from mlops_stack import aws_standin, environment
from mlops_stack.rehearsal import moto_server


def variables(
    folder: Path, *, aws: str, kubernetes: str, authority: str, programs: Path
) -> dict[str, str]:
    """Return an environment with a plugin folder of its own, in which moto is AWS.

    Args:
        folder: for the plugins, and for what moto cannot keep.
        aws: URL of moto.
        kubernetes: URL of the API that plays EKS's.
        authority: base64 text of its certificate authority.
        programs: folder with the program `aws` that gives tokens for it.
    """
    ours = environment.variables()
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PULUMI_"))}
    return {
        **inherited,
        **ours,
        "PATH": f"{programs}{os.pathsep}{ours['PATH']}",
        "PULUMI_HOME": str(aws_standin.make_home(folder / "home")),
        "MLOPS_AWS_STANDIN_STATE": str(kept_file(folder)),
        "MLOPS_AWS_STANDIN_EKS_ENDPOINT": kubernetes,
        "MLOPS_AWS_STANDIN_EKS_AUTHORITY": authority,
        **moto_server.credentials(aws),
    }


def kept_file(folder: Path) -> Path:
    """Return the file in which the stand-in keeps what moto cannot."""
    return folder / "unchecked.json"


def token_program(folder: Path, token: str) -> Path:
    """Make a folder with a program `aws` that answers `aws eks get-token`, and nothing else.

    Args:
        folder: the folder to make.
        token: the answer.
    """
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "kind": "ExecCredential",
        "spec": {},
        "status": {"token": token},
    }
    folder.mkdir()
    program = folder / "aws"
    program.touch(mode=0o700)
    program.write_text(
        "#!/bin/sh\n"
        'if [ "$1 $2" != "eks get-token" ]; then\n'
        '  echo "this stands for aws in a rehearsal and knows only: eks get-token" >&2\n'
        "  exit 2\n"
        "fi\n"
        f"echo {shlex.quote(json.dumps(credential))}\n"
    )
    return folder
