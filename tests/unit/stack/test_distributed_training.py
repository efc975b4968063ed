"""The stack with the training operator: what its jobs are given."""

import json

from tests.unit import recording


def _run(**config: str) -> recording.Recorder:
    return recording.program({"ephemeral": "true", **config})


def test_it_is_off_unless_asked_for() -> None:
    assert not _run().of(":TrainingOperator")


def test_jobs_are_told_where_data_and_models_are() -> None:
    recorded = _run(trainingOperator="true")
    secret = recorded.named("training-jobs-environment").inputs
    assert secret["metadata"]["name"] == "flight-delay-training-environment"
    assert {
        "AWS_ENDPOINT_URL",
        "AWS_DEFAULT_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "MLFLOW_TRACKING_URI",
    } == set(secret["stringData"]["value"])


def test_the_train_step_may_submit_what_it_is_given() -> None:
    recorded = _run(trainingOperator="true")
    (role,) = [r for r in recorded.of(":Role") if r.name == "training-jobs-submitter-role"]
    assert role.inputs["metadata"]["namespace"] == "training"
    allowed = {
        resource
        for rule in role.inputs["rules"]
        if "create" in rule["verbs"]
        for resource in rule["resources"]
    }
    (steps,) = [r for r in recorded.of(":ConfigMap") if r.name == "flight-delay-addresses"]
    jobs = json.loads(steps.inputs["data"]["TRAINING_JOBS"])
    assert jobs["namespace"] == "training"
    assert {f"{each['kind'].lower()}s" for each in jobs["templates"].values()} == allowed
