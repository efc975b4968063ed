"""The addresses of the S3 gateway, and who is given which."""

import pulumi
import pytest

from mlops_infra.cluster import Cluster, ClusterAccess
from mlops_infra.s3_gateway import S3Gateway, S3GatewayArgs
from tests.unit import recording

WITHIN = "http://s3.object-storage.svc.cluster.local:7070"


@pytest.mark.parametrize(
    ("node", "shared"),
    [
        ("10.0.0.1", "http://10.0.0.1:30000"),
        # Ports of this machine, forwarded to the cluster: a pod would find itself there.
        ("127.0.0.1", WITHIN),
        ("localhost", WITHIN),
    ],
)
def test_what_is_signed_is_reached_by_pods_and_where_possible_by_this_machine(
    node: str, shared: str
) -> None:
    found: list[str] = []

    def program() -> None:
        access = ClusterAccess(
            kubeconfig=pulumi.Output.from_input("apiVersion: v1"),
            node_address=pulumi.Output.from_input(node),
            context=None,
            owned=None,
        )
        cluster = Cluster(
            "cluster",
            access=access,
            claim=recording.CLAIM,
            storage_class=None,
            image_registry="",
            pulls_published=False,
        )
        args = S3GatewayArgs(cluster=cluster, storage_size="1Gi")
        S3Gateway("s3", args).shared_endpoint.apply(found.append)

    recording.run(program)
    assert found == [shared]


def test_mlflow_signs_for_the_shared_address() -> None:
    recorded = recording.program({})
    template = recorded.named("mlflow-server").inputs["spec"]["template"]
    (container,) = template["spec"]["containers"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert environment["MLFLOW_S3_ENDPOINT_URL"] == "http://10.210.255.254:30000"
