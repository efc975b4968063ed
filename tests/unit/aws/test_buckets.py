"""What S3 itself deletes by age."""

from typing import Any

from mlops_infra.buckets import EXPIRING
from tests.unit import recording


def _prefixes(stack: recording.Recorder) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for resource in stack.of(":BucketLifecycleConfiguration"):
        rules: list[dict[str, Any]] = resource.inputs["rules"]
        found[resource.name] = [r["filter"]["prefix"] for r in rules if r["id"] == "expire"]
    return found


def test_no_rule_reaches_what_mlflow_or_the_api_server_keeps() -> None:
    config = {
        "clusterProvider": "eks",
        "layers": "infra",
        "owner": "owner@example.org",
        "artifactExpiryDays": "30",
    }
    expiring = {
        f"buckets-{purpose}-lifecycle": [EXPIRING[purpose]] if purpose in EXPIRING else []
        for purpose in ("datasets", "artifacts", "models", "pipelines")
    }
    assert _prefixes(recording.program(config)) == {**expiring, "buckets-logs-lifecycle": [""]}
    # Where MLflow keeps models, and Kubeflow its pipelines.
    for key in ("mlflow/1/models/m-1/artifacts/model.skops", "pipelines/1"):
        assert not key.startswith(tuple(EXPIRING.values()))
    del config["artifactExpiryDays"]
    assert not any(_prefixes(recording.program(config)).pop("buckets-artifacts-lifecycle"))
