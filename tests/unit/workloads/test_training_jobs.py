"""The manifests of distributed trainings."""

import json

import pytest

from flight_training.job import FRAMEWORKS, Training, manifest
from flight_training.settings import Settings
from mlops_workloads.training_jobs import template

IMAGE = "docker.io/local/training:1"
SECRET = "trial-environment"
TRAINING = {
    "data": "s3://datasets/flights",
    "training_months": "1-3",
    "evaluation_month": 4,
    "model_name": "flight-delay",
    "settings": Settings(epochs=2),
}


@pytest.mark.parametrize(
    ("framework", "replicas", "names"),
    [
        ("pytorch", "pytorchReplicaSpecs", {"Master", "Worker"}),
        ("tensorflow", "tfReplicaSpecs", {"Chief", "Worker"}),
    ],
)
def test_a_job_has_two_workers_of_the_framework(
    framework: str, replicas: str, names: set[str]
) -> None:
    given = template(FRAMEWORKS[framework], IMAGE, SECRET)
    job = manifest("trial", Training(framework=framework, **TRAINING), given)
    assert job["kind"] == FRAMEWORKS[framework].kind
    assert job["metadata"]["name"] == "trial"
    assert given == template(FRAMEWORKS[framework], IMAGE, SECRET)
    specs = job["spec"][replicas]
    assert set(specs) == names
    for spec in specs.values():
        assert spec["replicas"] == 1
        (container,) = spec["template"]["spec"]["containers"]
        # The operator refuses jobs whose container has another name.
        assert container["name"] == framework
        assert container["image"] == IMAGE
        assert container["envFrom"] == [{"secretRef": {"name": SECRET}}]
        arguments = dict(zip(container["args"][::2], container["args"][1::2], strict=True))
        assert arguments["--framework"] == framework
        assert arguments["--job"] == "trial"
        assert arguments["--evaluation-month"] == "4"
        assert json.loads(arguments["--settings"])["epochs"] == 2


def test_a_job_ends_and_its_pods_are_restricted() -> None:
    job = template(FRAMEWORKS["pytorch"], IMAGE, SECRET)
    policy = job["spec"]["runPolicy"]
    assert policy["backoffLimit"] == 0
    assert policy["activeDeadlineSeconds"] > 0
    assert policy["ttlSecondsAfterFinished"] > 0
    pod = job["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"]


def test_a_network_that_another_step_judges_is_told_no_month() -> None:
    training = Training(framework="pytorch", **{**TRAINING, "evaluation_month": None})
    job = manifest("trial", training, template(FRAMEWORKS["pytorch"], IMAGE, SECRET))
    pod = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]
    assert "--evaluation-month" not in pod["containers"][0]["args"]
