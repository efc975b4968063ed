"""What Kubeflow's documentation offers to pipelines, and its release of this version fails at."""

import json
import subprocess
import sys
from typing import Any

import pytest

from mlops_infra.node.layout import StateFolder
from mlops_platform.pipelines.pipelines_api import PipelinesApi
from tests.cluster.conftest import Kubectl
from tests.e2e.conftest import CHECKOUT, Commands

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
_RUN_SECONDS = 300
_NAME = "a run's name with blanks, and ü"


def test_long_names_of_pods_skipped_iterations_and_a_runs_name(
    whole_stack: Commands, whole_outputs: dict[str, Any]
) -> None:
    # In a process of its own: kfp and Pulumi each bring their google.rpc.Status.
    ended = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-m", "tests.e2e.feature_pipeline"),
            *(whole_outputs["kubeflow_url"], _NAME),
        ],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=_RUN_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    run = PipelinesApi(whole_outputs["kubeflow_url"]).run(ended.stdout.split()[-1])
    assert run
    assert run["display_name"] == _NAME
    kubectl = Kubectl(StateFolder.of(whole_stack.name).kubeconfig)
    names = kubectl("--namespace", "kubeflow", "get", "pods", "--output=name")
    assert max(len(name.removeprefix("pod/")) for name in names.split()) > 63
    # What the pipeline made, it has deleted; Kubernetes keeps a volume while there are Pods of it.
    claims = json.loads(kubectl("--namespace", "kubeflow", "get", "pvc", "--output=json"))
    kept = {
        claim["metadata"]["name"]
        for claim in claims["items"]
        if "deletionTimestamp" not in claim["metadata"]
    }
    assert kept
    assert not any("-shared" in name for name in kept)
