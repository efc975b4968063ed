"""What keeps and restores data, against a real API server: what it admits, selects and scales."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_platform.notebooks.notebook import pod
from mlops_stack import environment
from mlops_stack.backup import at_rest
from mlops_stack.backup.errors import KeepError
from mlops_stack.backup.homes import Homes, Volume, manifest
from mlops_stack.backup.pods import Pods
from mlops_toolchain import layout
from tests.conformance.manifests import definition
from tests.conformance.tools import SEARCH

pytestmark = pytest.mark.timeout(300)

_DEFINITIONS = (
    "notebooks.kubeflow.org",
    "scheduledworkflows.kubeflow.org",
    "workflows.argoproj.io",
)
_UNFINISHED = {"pipelines.kubeflow.org/run_name": "a run ü"}


@pytest.fixture
def pods(kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pods]:
    kubectl = shutil.which("kubectl", path=SEARCH)
    assert kubectl
    monkeypatch.setattr(layout, "bin_dir", lambda: Path(kubectl).parent)
    monkeypatch.setattr(environment, "state_dir", lambda: tmp_path)
    found = Pods(kubeconfig)
    # Other suites have definitions of the same names, and may not have waited for their end.
    gone = ("delete", "crd", *_DEFINITIONS, "--ignore-not-found", "--wait=true")
    found.run("definitions", *gone)
    yield found
    found.run("definitions", *gone)


def _create(pods: Pods, tmp_path: Path, *objects: dict[str, Any]) -> None:
    file = tmp_path / "objects.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    pods.run("objects", "apply", "--server-side", f"--filename={file}")


def _object(kind: str, group: str, namespace: str, name: str, **rest: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, **rest.pop("metadata", {})}
    return {"apiVersion": f"{group}/v1", "kind": kind, "metadata": metadata, **rest}


def _namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def test_the_pod_that_reads_a_home_is_admitted_where_notebooks_are(
    pods: Pods, tmp_path: Path
) -> None:
    _create(
        pods,
        tmp_path,
        _namespace("team", **{"pod-security.kubernetes.io/enforce": "restricted"}),
        definition("kubeflow.org", "Notebook"),
    )
    _wait_established(pods, "notebooks.kubeflow.org")
    spec = pod(
        "notebook",
        "an-image",
        environment="environment",
        secret="token",
        volume="home-1",
        digest="",
    )
    _create(
        pods,
        tmp_path,
        _object(
            *("Notebook", "kubeflow.org", "team", "notebook"),
            spec={"template": {"spec": spec}},
        ),
    )
    (volume,) = Homes(pods).volumes()
    assert (volume.label, volume.claim) == ("team/notebook (home)", "home-1")
    file = tmp_path / "pod.json"
    file.write_text(json.dumps(manifest("keeping-1", volume, image="mlflow:1", node="")))
    # Another one of no user's would be refused.
    pods.run("the Pod", "create", "--dry-run=server", f"--filename={file}")
    bare = Volume(**{**vars(volume), "spec": {"containers": [{}]}})
    file.write_text(json.dumps(manifest("keeping-1", bare, image="mlflow:1", node="")))
    with pytest.raises(KeepError, match="violates PodSecurity"):
        pods.run("the Pod", "create", "--dry-run=server", f"--filename={file}")


def test_schedules_stop_and_what_goes_on_is_known(pods: Pods, tmp_path: Path) -> None:
    labels = {"app": "ml-pipeline-scheduledworkflow"}
    _create(
        pods,
        tmp_path,
        _namespace("kubeflow"),
        definition("kubeflow.org", "ScheduledWorkflow"),
        definition("argoproj.io", "Workflow"),
        _object(
            *("Deployment", "apps", "kubeflow", "ml-pipeline-scheduledworkflow"),
            spec={
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "it", "image": "it"}]},
                },
            },
        ),
    )
    _wait_established(pods, "scheduledworkflows.kubeflow.org", "workflows.argoproj.io")
    # Without a schedule there is nothing to stop.
    at_rest.suspend("s", pods)
    assert _replicas(pods) == 1
    ended = {"labels": {"pipeline/persistedFinalState": "true"}}
    _create(
        pods,
        tmp_path,
        _object("ScheduledWorkflow", "kubeflow.org", "kubeflow", "nightly"),
        _object("Workflow", "argoproj.io", "kubeflow", "ended", metadata=ended),
        _object(
            *("Workflow", "argoproj.io", "kubeflow", "goes-on"),
            metadata={"annotations": _UNFINISHED},
        ),
    )
    with at_rest.suspended("s", pods, afterwards=True):
        assert _replicas(pods) == 0
        assert at_rest.unfinished(pods) == ["run a run ü"]
    assert _replicas(pods) == 1


def _wait_established(pods: Pods, *names: str) -> None:
    # `kubectl wait` refuses a definition that has no conditions yet.
    end = time.monotonic() + 30
    for name in names:
        while True:
            (found,) = pods.get("crd", name)
            conditions = (found.get("status") or {}).get("conditions") or []
            if any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
                break
            assert time.monotonic() < end, f"{name} is not established"
            time.sleep(0.1)


def _replicas(pods: Pods) -> int:
    (found,) = pods.get("deployment", "ml-pipeline-scheduledworkflow", "--namespace=kubeflow")
    return int(found["spec"]["replicas"])
