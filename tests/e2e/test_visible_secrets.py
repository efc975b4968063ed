"""No secret of the stack was in a command line since it came up: everybody may read these.

Its name lets it come after the tests that run pipelines, training and notebooks on the same stack.
"""

import base64
import json
from typing import Any

import pytest

from mlops_platform.serving import rollout
from mlops_rollout.kubectl import Kubectl

pytestmark = pytest.mark.e2e
# Shorter values are names and numbers.
_LENGTH = 16


def _secrets(kubectl: Kubectl) -> dict[str, str]:
    """Return the values of all Secrets of the cluster, by where they are."""
    listed = json.loads(kubectl.run("get", "secrets", "--all-namespaces", "--output", "json"))
    found = {}
    for secret in listed["items"]:
        for key, encoded in (secret.get("data") or {}).items():
            value = base64.b64decode(encoded).decode(errors="replace")
            where = f"{secret['metadata']['namespace']}/{secret['metadata']['name']} {key}"
            found[where] = value
    return found


def test_no_command_line_holds_a_secret(
    whole_outputs: dict[str, Any], command_lines: set[str]
) -> None:
    kubectl = Kubectl(rollout.access(whole_outputs["kubeconfig"]), "kubeflow")
    values = {
        **_secrets(kubectl),
        **{key: whole_outputs[key] for key in ("s3_access_key", "s3_secret_key")},
    }
    secret = {
        where: value
        for where, value in values.items()
        # An address is no secret, nor is a certificate.
        if len(value) >= _LENGTH
        and not value.startswith(("http", "s3://", "-----BEGIN CERTIFICATE"))
    }
    assert len(secret) > 5
    # Of the node's own programs, so that it is known that they were looked at.
    assert any("metadata_server" in line for line in command_lines)
    assert any("kfp-launcher" in line or "argoexec" in line for line in command_lines)
    assert not {where for where, value in secret.items() for line in command_lines if value in line}
