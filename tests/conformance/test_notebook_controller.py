"""Upstream's notebook controller with our manifests, on a control plane without nodes."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_platform.notebooks import notebook, notebook_manifests
from mlops_stack.rehearsal.ports import free_port
from mlops_toolchain import layout
from tests.conformance.tools import find

MANIFESTS = layout.manifests_dir() / "notebook-controller/standalone.json"
PROGRAM = layout.bin_dir() / "notebook-controller"
pytestmark = pytest.mark.skipif(
    not (MANIFESTS.exists() and PROGRAM.exists()),
    reason="needs the notebook controller: run `make toolchain`",
)
_NAMESPACE = "team-notebooks"


@pytest.fixture(scope="module")
def kubectl(kubeconfig: Path) -> Callable[..., str]:
    program = find("kubectl")
    assert program is not None

    def run(*words: str, stdin: Any = None) -> str:
        done = subprocess.run(
            [str(program), f"--kubeconfig={kubeconfig}", f"--namespace={_NAMESPACE}", *words],
            input=json.dumps(stdin) if stdin else None,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def statefulset(
    kubectl: Callable[..., str], kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """What the controller makes of a Notebook."""
    (deployment,) = [
        each
        for each in notebook_manifests.objects(MANIFESTS, controller="local/controller:1")
        if each["kind"] == "Deployment"
    ]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": _NAMESPACE, "labels": labels},
    }
    definition = notebook_manifests.definition(MANIFESTS)
    log = tmp_path_factory.mktemp("notebooks") / "controller.log"
    kubectl("apply", "--server-side", "--filename=-", stdin=namespace)
    kubectl("apply", "--server-side", "--filename=-", stdin=definition)
    # `kubectl wait` refuses a definition that has no conditions yet.
    end = time.monotonic() + 30
    while "notebooks" not in kubectl("api-resources", "--api-group=kubeflow.org", "--output=name"):
        assert time.monotonic() < end, "the definition is not established"
        time.sleep(0.5)
    arguments = [*container["args"], f"--probe-addr=127.0.0.1:{free_port()}"]
    variables = {each["name"]: each["value"] for each in container["env"]}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [str(PROGRAM), *arguments],
            env={**variables, "KUBECONFIG": str(kubeconfig)},
            stdout=output,
            stderr=output,
        ) as controller,
    ):
        try:
            kubectl(
                *("apply", "--server-side", "--filename=-"),
                stdin={
                    "apiVersion": "kubeflow.org/v1",
                    "kind": "Notebook",
                    "metadata": {"name": "trial"},
                    "spec": {
                        "template": {
                            "spec": notebook.pod(
                                "trial",
                                "local/notebook:1",
                                environment="env",
                                secret="tok",
                                volume="home",
                                digest="",
                            )
                        }
                    },
                },
            )
            end = time.monotonic() + 60
            found = ""
            while time.monotonic() < end and not found:
                assert controller.poll() is None, log.read_text()
                found = kubectl("get", "statefulset/trial", "--ignore-not-found", "--output=json")
                time.sleep(0.5)
            assert found, log.read_text()
            yield json.loads(found)
        finally:
            controller.terminate()
            kubectl("delete", "notebook/trial", "--ignore-not-found")
            kubectl(
                "delete", "crd/notebooks.kubeflow.org", f"namespace/{_NAMESPACE}", "--wait=false"
            )


def test_the_pod_is_ours_with_the_prefix(statefulset: dict[str, Any]) -> None:
    pod = statefulset["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    assert variables["NB_PREFIX"] == f"/notebook/{_NAMESPACE}/trial"
    assert pod["securityContext"]["fsGroup"] == 65532
    assert container["workingDir"] == "/home/notebook"
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
    assert container["envFrom"] == [{"secretRef": {"name": "env"}}]


def test_the_node_port_selects_it(statefulset: dict[str, Any]) -> None:
    assert statefulset["spec"]["template"]["metadata"]["labels"]["notebook-name"] == "trial"


def test_a_restricted_namespace_takes_its_pod(
    statefulset: dict[str, Any], kubectl: Callable[..., str]
) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "trial"},
        "spec": statefulset["spec"]["template"]["spec"],
    }
    kubectl("create", "serviceaccount", "default-here")
    pod["spec"]["serviceAccountName"] = "default-here"
    kubectl("create", "--dry-run=server", "--filename=-", stdin=pod)
    pod["spec"]["securityContext"]["runAsNonRoot"] = False
    with pytest.raises(AssertionError, match="violates PodSecurity"):
        kubectl("create", "--dry-run=server", "--filename=-", stdin=pod)
