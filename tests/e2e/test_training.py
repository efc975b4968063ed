"""The training operator: jobs over several Pods that find each other, to the end."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from mlops_infra.node.layout import StateFolder
from mlops_toolchain import images
from tests.cluster.conftest import Kubectl
from tests.e2e import serving
from tests.e2e.conftest import Commands
from tests.e2e.serving import wait

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

_PORT = 23456
# As a framework does: the first Pod listens, the others connect to the name that they were given.
_LISTEN = f'test "$(nc -l -p {_PORT})" = hello'
_CONNECT = (
    "for i in $(seq 60); do echo hello | nc -w 2 $ADDRESS $PORT && exit 0; sleep 1; done; exit 1"
)


@pytest.fixture(scope="module")
def kubectl(whole_stack: Commands, whole_outputs: dict[str, Any]) -> Callable[..., str]:
    namespace = whole_outputs["training_namespace"]
    return partial(Kubectl(StateFolder.of(whole_stack.name).kubeconfig), "--namespace", namespace)


@pytest.fixture
def job(kubectl: Callable[..., str]) -> Iterator[Callable[..., dict[str, Any]]]:
    made: list[str] = []

    def run(kind: str, replicas: dict[str, dict[str, Any]], **spec: Any) -> dict[str, Any]:
        field = {"TFJob": "tfReplicaSpecs", "PyTorchJob": "pytorchReplicaSpecs"}[kind]
        manifest = {
            "apiVersion": "kubeflow.org/v1",
            "kind": kind,
            "metadata": {"name": f"trial-{kind.lower()}"},
            "spec": {field: replicas, **spec},
        }
        made.append(f"{kind.lower()}/trial-{kind.lower()}")
        serving.apply(kubectl, manifest)
        wait(lambda: bool(_condition(kubectl, made[-1])), "the end of the job", 180)
        found: dict[str, Any] = json.loads(kubectl("get", made[-1], "--output", "json"))
        return found["status"]

    yield run
    for each in made:
        kubectl("delete", each, "--ignore-not-found")


def _condition(kubectl: Callable[..., str], name: str) -> str:
    status = json.loads(kubectl("get", name, "--output", "json")).get("status", {})
    ends = [
        each["type"]
        for each in status.get("conditions", [])
        if each["type"] in ("Succeeded", "Failed") and each["status"] == "True"
    ]
    return ends[0] if ends else ""


def _replica(container: str, script: str, replicas: int = 1) -> dict[str, Any]:
    return {
        "replicas": replicas,
        "restartPolicy": "Never",
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": container,
                        "image": images.reference("busybox"),
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["sh", "-c", script],
                    }
                ]
            }
        },
    }


def _ends(status: dict[str, Any]) -> set[str]:
    return {each["type"] for each in status["conditions"] if each["status"] == "True"}


def test_a_worker_of_a_pytorchjob_finds_its_master(job: Callable[..., dict[str, Any]]) -> None:
    check = 'test "$WORLD_SIZE" = 2 && test "$RANK" = {rank} && '
    worker = "ADDRESS=$MASTER_ADDR PORT=$MASTER_PORT; " + _CONNECT
    status = job(
        "PyTorchJob",
        {
            "Master": _replica("pytorch", check.format(rank=0) + _LISTEN),
            "Worker": _replica("pytorch", check.format(rank=1) + f"{{ {worker}; }}"),
        },
    )
    assert "Succeeded" in _ends(status)
    assert status["replicaStatuses"]["Master"]["succeeded"] == 1


def test_a_worker_of_a_tfjob_finds_its_chief(job: Callable[..., dict[str, Any]]) -> None:
    address = (
        "echo $TF_CONFIG; "
        'CHIEF=$(echo $TF_CONFIG | sed \'s/.*"chief":\\["\\([^"]*\\)".*/\\1/\'); '
        f"ADDRESS=${{CHIEF%:*}} PORT={_PORT}; "
    )
    status = job(
        "TFJob",
        {
            "Chief": _replica("tensorflow", _LISTEN),
            "Worker": _replica("tensorflow", address + _CONNECT),
        },
    )
    assert "Succeeded" in _ends(status)
    assert status["replicaStatuses"]["Chief"]["succeeded"] == 1


def test_a_job_that_fails_says_so(job: Callable[..., dict[str, Any]]) -> None:
    status = job("PyTorchJob", {"Master": _replica("pytorch", "exit 3")})
    assert "Failed" in _ends(status)


def test_a_job_without_master_is_refused(kubectl: Callable[..., str]) -> None:
    manifest = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": "Not_A_Name"},
        "spec": {"pytorchReplicaSpecs": {"Nobody": _replica("pytorch", "true")}},
    }
    with pytest.raises(AssertionError, match=r"Nobody|Invalid|invalid"):
        serving.apply(kubectl, manifest)
