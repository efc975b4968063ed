"""Who of the platform's services may do what in AWS: Pod Identity, by bucket and prefix."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from mlops_infra.aws.account import Account
from mlops_infra.aws.eks_cluster import EksCluster, pod_trust
from mlops_infra.buckets import Buckets
from mlops_infra.identity import Access, Purpose
from mlops_infra.identity import Identity as Wanted


@dataclass(frozen=True, kw_only=True)
class IdentityArgs:
    """What the identities need.

    Attributes:
        account: where the roles are.
        cluster: whose Pods take them on.
        buckets: what they may reach.
        key_arn: key that the buckets are encrypted with.
        services: who gets one.
    """

    account: Account
    cluster: EksCluster
    services: tuple[Wanted, ...]
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
        for wanted in args.services:
            role = aws.iam.Role(f"{name}-{wanted.name}", assume_role_policy=pod_trust(), opts=child)
            used = [buckets[access.bucket] for access in wanted.access]
            policy = aws.iam.RolePolicy(
                f"{name}-{wanted.name}",
                role=role.name,
                policy=pulumi.Output.all(args.key_arn, *used).apply(_policy_of(wanted)),
                opts=child,
            )
            association = aws.eks.PodIdentityAssociation(
                f"{name}-{wanted.name}",
                cluster_name=args.cluster.name,
                namespace=wanted.namespace,
                service_account=wanted.account,
                role_arn=role.arn,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
            )
            ready.append(association)
        self.ready = tuple(ready)
        self.register_outputs({})


def _policy_of(service: Wanted) -> Callable[[list[str]], str]:
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
