"""Who of the platform's services may do what in AWS: Pod Identity, by bucket and prefix."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import pulumi
import pulumi_aws as aws

from mlops_infra.aws.account import Account
from mlops_infra.aws.eks_cluster import EksCluster, pod_trust
from mlops_infra.buckets import Buckets

Purpose = Literal["datasets", "artifacts", "models", "pipelines"]


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a service may do with a part of a bucket.

    Attributes:
        bucket: which of the stack's buckets.
        prefix: beginning of the keys, with its slash; empty for all.
        write: whether it may write and delete, too.
    """

    bucket: Purpose
    prefix: str
    write: bool


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service with an identity.

    Attributes:
        namespace: where its Pods run.
        service_account: their service account.
        access: what it may do.
    """

    namespace: str
    service_account: str
    access: tuple[Access, ...]


SERVICES: Final[dict[str, Service]] = {
    "mlflow": Service(
        namespace="mlflow",
        service_account="default",
        access=(Access(bucket="artifacts", prefix="mlflow/", write=True),),
    ),
    "kfp": Service(
        namespace="kubeflow",
        service_account="pipeline-runner",
        access=(
            Access(bucket="pipelines", prefix="", write=True),
            Access(bucket="datasets", prefix="", write=False),
        ),
    ),
    "kfp-api": Service(
        namespace="kubeflow",
        service_account="ml-pipeline",
        access=(Access(bucket="pipelines", prefix="", write=True),),
    ),
    "kfp-ui": Service(
        namespace="kubeflow",
        service_account="ml-pipeline-ui",
        access=(Access(bucket="pipelines", prefix="", write=False),),
    ),
    "kserve": Service(
        namespace="kserve",
        service_account="model-reader",
        access=(Access(bucket="models", prefix="", write=False),),
    ),
    "seldon": Service(
        namespace="seldon",
        service_account="model-reader",
        access=(Access(bucket="models", prefix="", write=False),),
    ),
}


@dataclass(frozen=True, kw_only=True)
class IdentityArgs:
    """What the identities need.

    Attributes:
        account: where the roles are.
        cluster: whose Pods take them on.
        buckets: what they may reach.
        key_arn: key that the buckets are encrypted with.
    """

    account: Account
    cluster: EksCluster
    buckets: Buckets
    key_arn: pulumi.Output[str]


class Identity(pulumi.ComponentResource):
    """A role for each service.

    Attributes:
        ready: the associations; a Pod that starts before its own has no credentials.
    """

    ready: tuple[pulumi.Resource, ...]

    def __init__(
        self, name: str, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        options = pulumi.ResourceOptions.merge(args.account.options(), opts)
        super().__init__("mlops:infra:AwsIdentity", name, None, options)
        child = pulumi.ResourceOptions(parent=self)
        buckets: dict[Purpose, pulumi.Output[str]] = {
            "datasets": args.buckets.datasets,
            "artifacts": args.buckets.artifacts,
            "models": args.buckets.models,
            "pipelines": args.buckets.pipelines,
        }
        ready: list[pulumi.Resource] = []
        for service, wanted in SERVICES.items():
            role = aws.iam.Role(f"{name}-{service}", assume_role_policy=pod_trust(), opts=child)
            used = [buckets[access.bucket] for access in wanted.access]
            policy = aws.iam.RolePolicy(
                f"{name}-{service}",
                role=role.name,
                policy=pulumi.Output.all(args.key_arn, *used).apply(_policy_of(wanted)),
                opts=child,
            )
            association = aws.eks.PodIdentityAssociation(
                f"{name}-{service}",
                cluster_name=args.cluster.name,
                namespace=wanted.namespace,
                service_account=wanted.service_account,
                role_arn=role.arn,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
            )
            ready.append(association)
        self.ready = tuple(ready)
        self.register_outputs({})


def _policy_of(service: Service) -> Callable[[list[str]], str]:
    return lambda values: access_policy(service.access, values[1:], values[0])


def access_policy(access: tuple[Access, ...], buckets: list[str], key_arn: str) -> str:
    """Return a policy that allows what is listed, and nothing else.

    Args:
        access: what is allowed.
        buckets: names of the buckets, in the same order.
        key_arn: key that encrypts them.
    """
    statements: list[dict[str, object]] = []
    for one, bucket in zip(access, buckets, strict=True):
        arn = f"arn:aws:s3:::{bucket}"
        keys = ["s3:GetObject"]
        if one.write:
            keys += ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        listing: dict[str, object] = {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": arn,
        }
        if one.prefix:
            listing["Condition"] = {"StringLike": {"s3:prefix": [f"{one.prefix}*"]}}
        objects: dict[str, object] = {
            "Effect": "Allow",
            "Action": keys,
            "Resource": f"{arn}/{one.prefix}*",
        }
        statements += [listing, objects]
    uses = ["kms:Decrypt"]
    if any(one.write for one in access):
        uses.append("kms:GenerateDataKey")
    statements.append({"Effect": "Allow", "Action": uses, "Resource": key_arn})
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
