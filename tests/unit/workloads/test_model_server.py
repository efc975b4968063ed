"""Two models on one engine share its namespace."""

from typing import Any

import pytest

from mlops_infra.buckets import Buckets, BucketsArgs, ObjectStore
from mlops_platform.pipelines.pipeline_account import PipelineAccount
from mlops_platform.serving.model_server import ModelServer, ModelServerArgs
from tests.unit import recording


def _store() -> ObjectStore:
    return ObjectStore(
        endpoint="http://127.0.0.1:1",
        cluster_endpoint="http://s3.object-storage.svc:7070",
        shared_endpoint="http://10.0.0.1:7070",
        region="us-east-1",
        access_key="AK",
        secret_key="SK",
    )


@pytest.mark.parametrize("engine", ["kserve", "seldon"])
def test_no_object_of_theirs_has_the_name_of_another(engine: Any) -> None:
    def program() -> None:
        cluster = recording.cluster()
        buckets = Buckets("buckets", BucketsArgs(store=_store(), ephemeral=True))
        for name in ("flight-delay", "other"):
            ModelServer(
                f"{name}-server",
                ModelServerArgs(
                    engine=engine,
                    cluster=cluster,
                    buckets=buckets,
                    namespace="serving",
                    server="server",
                    name=name,
                    model_name=name,
                    runtime_class="",
                    log_rate=1.0,
                    pipeline_account=PipelineAccount(namespace="kubeflow", account="runner"),
                ),
            )

    found = recording.run(program)
    names = [
        (each.typ, each.inputs["metadata"]["namespace"], each.inputs["metadata"]["name"])
        for each in found.resources
        if each.typ.startswith("kubernetes:") and "metadata" in each.inputs
    ]
    assert len(names) == 2 * (4 if engine == "kserve" else 3)
    assert len(set(names)) == len(names)
