"""Runs a program against Pulumi's mocks and records what it registers."""

import asyncio
import runpy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks, set_all_config, settings

from mlops_infra.cluster import Cluster, ClusterAccess
from mlops_infra.cluster_claim import Claim
from mlops_toolchain import layout
from tests.unit.conftest import CHECKOUT

CLAIM = Claim(
    stack_id="0123456789abcdef",
    stack="unit",
    backend="file:///state",
    checkout="/checkout",
    host="machine",
)
# Outputs that a provider would compute, by type.
_COMPUTED: dict[str, dict[str, Any]] = {
    "pulumi-python:dynamic/mlops:EmbeddedCluster": {
        "kubeconfig": "apiVersion: v1",
        "node_address": "10.210.255.254",
        "resolved_network": "10.210.0.0/16",
    },
    "pulumi-python:dynamic/mlops:KindCluster": {
        "kubeconfig": "apiVersion: v1",
        "node_address": "172.18.0.2",
    },
    "aws:eks/cluster:Cluster": {
        "arn": "arn:aws:eks:eu-central-1:123456789012:cluster/unit",
        "name": "mlops-unit",
        "endpoint": "https://unit.eks.amazonaws.com",
        "certificateAuthority": {"data": "Y2VydGlmaWNhdGU="},
        "vpcConfig": {"clusterSecurityGroupId": "sg-1", "subnetIds": []},
    },
    "aws:s3/bucket:Bucket": {"arn": "arn:aws:s3:::unit", "bucket": "unit"},
    "aws:kms/key:Key": {"arn": "arn:aws:kms:eu-central-1:123456789012:key/unit"},
    "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 1},
    "aws:rds/instance:Instance": {
        "address": "mlops-unit.rds.amazonaws.com",
        "masterUserSecrets": [{"secretArn": "arn:aws:secretsmanager:eu-central-1:1:secret:unit"}],
    },
    "pulumi-python:dynamic/mlops:Credentials": {"access_key": "AK", "secret_key": "SK"},
    "pulumi-python:dynamic/mlops:WebhookCertificates": {
        "authority": "PEM of the authority",
        "certificate": "PEM of the server",
        "private_key": "key",
    },
    "pulumi-python:dynamic/mlops:PipelineVersion": {
        "pipeline_id": "p",
        "version": "flight-delay-12345678",
        "version_id": "v",
    },
    "pulumi-python:dynamic/mlops:PipelineRun": {"run_id": "r", "seconds": 60},
    "pulumi-python:dynamic/mlops:ModelVersion": {
        "version": "1",
        "run_id": "r",
        "metrics": {"roc_auc": 0.7},
        "artifact_uri": "mlflow-artifacts:/1/models/m/artifacts",
    },
}


@dataclass
class Recorder(mocks.Mocks):
    """Answers as a provider would, and remembers every registration."""

    resources: list[mocks.MockResourceArgs] = field(default_factory=list)
    urns: list[str] = field(default_factory=list)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.resources.append(args)
        outputs = {**args.inputs, **_COMPUTED.get(args.typ, {})}
        if args.typ == "kubernetes:core/v1:Service":
            ports = [{**port, "nodePort": 30000} for port in args.inputs["spec"]["ports"]]
            outputs["spec"] = {**args.inputs["spec"], "ports": ports}
        metadata = args.inputs.get("metadata")
        if isinstance(metadata, dict):
            outputs["metadata"] = {"name": args.name, **metadata}
        return f"{args.name}-id", outputs

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        raise AssertionError(f"no function is expected to be called, but {args.token} was")

    def of(self, kind: str) -> list[mocks.MockResourceArgs]:
        """Return the resources whose type ends so."""
        return [resource for resource in self.resources if resource.typ.endswith(kind)]

    def named(self, name: str) -> mocks.MockResourceArgs:
        """Return the one resource of that name."""
        (found,) = [resource for resource in self.resources if resource.name == name]
        return found


def run(
    program: Callable[[], Any], *, config: dict[str, str] | None = None, stack: str = "unit"
) -> Recorder:
    """Run a program to its end; return what it registered."""
    recorder = Recorder()
    # Each run has its own loop: the runtime keeps tasks of the one it has seen first.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        mocks.set_mocks(recorder, project="mlops-platform", stack=stack, preview=False)
        set_all_config({f"mlops-platform:{k}": v for k, v in (config or {}).items()})
        mocks.test(program)()
        recorder.urns = list(settings.get_monitor().resources)  # type: ignore[union-attr]
    finally:
        settings.reset_options()
        loop.close()
    return recorder


def program(config: dict[str, str], file: Path = CHECKOUT / "__main__.py") -> Recorder:
    """Run the project's own program with a configuration; return what it registered.

    All but its first layer reads upstream's manifests; where there are none, the test is skipped.
    """
    if config.get("layers") != "infra" and not layout.manifests_dir().exists():
        pytest.skip("the program reads upstream's manifests: run `make toolchain`")
    # As a make command tells it.
    told = {"stackId": CLAIM.stack_id, **config}
    return run(lambda: runpy.run_path(str(file), run_name="__main__") and None, config=told)


def cluster(node_address: str = "127.0.0.1", *, pulls_published: bool = False) -> Cluster:
    """Register a cluster that somebody else runs, for a program that is recorded."""
    return Cluster(
        "cluster",
        access=ClusterAccess(
            kubeconfig=pulumi.Output.from_input("apiVersion: v1"),
            node_address=pulumi.Output.from_input(node_address),
            context=None,
            owned=None,
        ),
        claim=CLAIM,
        storage_class=None,
        image_registry="",
        pulls_published=pulls_published,
    )
