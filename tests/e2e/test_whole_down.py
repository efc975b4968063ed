"""The end of a stack with everything on: nothing has changed, and all of it goes.

Last of the files that share the stack.
"""

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from mlops_infra.node.layout import StateFolder
from mlops_infra.node.leftovers import leftovers
from tests.cluster.conftest import Kubectl
from tests.e2e import serving
from tests.e2e.conftest import Commands

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        "MLOPS_E2E_STACK" in os.environ, reason="the stack of MLOPS_E2E_STACK stays up"
    ),
]


def test_a_preview_after_all_of_it_shows_no_change(whole_stack: Commands) -> None:
    whole_stack.stack.ensure()
    text = whole_stack.stack.capture_run("preview", "--json")
    assert set(json.loads(text)["changeSummary"]) == {"same"}


def test_destroy_with_live_servers_leaves_nothing(
    whole_stack: Commands, whole_outputs: dict[str, Any]
) -> None:
    kubectl = Kubectl(StateFolder.of(whole_stack.name).kubeconfig)
    for kind, output in (
        ("inferenceservices", "kserve_namespace"),
        ("seldondeployments", "seldon_namespace"),
    ):
        namespace = whole_outputs[output]
        _copy(kubectl, kind, namespace, whole_outputs)
    text = whole_stack.run("down").stdout
    assert text.splitlines()[-1].startswith("leftovers: 0")
    assert not leftovers(whole_stack.name)


def _copy(kubectl: Callable[..., str], kind: str, namespace: str, outputs: dict[str, Any]) -> None:
    """Serve the champion a second time, under a name that the stack does not know."""

    def there(*words: str, **options: Any) -> str:
        return kubectl(*words, "--namespace", namespace, **options)

    served = serving.champion(there, kind, outputs)
    manifest = {
        "apiVersion": served["apiVersion"],
        "kind": served["kind"],
        "metadata": {"name": "foreign", "namespace": namespace},
        "spec": served["spec"],
    }
    serving.apply(there, manifest)
    serving.wait(lambda: "foreign" in there("get", "deployments"), "the server's Deployment")
