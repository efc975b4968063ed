"""IAM: no wildcard action or resource."""

from collections.abc import Iterator
from typing import Any

from mlops_policies.rule import Allowed, Resource, Rule, documents, items, texts

_POLICIES = (
    "aws:iam/policy:Policy",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/userPolicy:UserPolicy",
    "aws:iam/groupPolicy:GroupPolicy",
)
_ROLE = "aws:iam/role:Role"
# Reads and calls for which AWS knows no resource: `*` is the only value it accepts.
_WITHOUT_RESOURCE = (
    "ec2:Describe",
    "ecr:GetAuthorizationToken",
    "eks:ListClusters",
    "autoscaling:Describe",
    "elasticloadbalancing:Describe",
    "pricing:GetProducts",
    "sts:GetCallerIdentity",
    "cloudwatch:PutMetricData",
    "s3:ListAllMyBuckets",
)


def _wildcards(resource: Resource, _: Allowed) -> Iterator[str]:
    if resource.is_a(*_POLICIES):
        yield from _in_document(resource.get("policy"))
    if resource.is_a(_ROLE):
        for inline in items(resource.get("inlinePolicies")):
            if isinstance(inline, dict):
                yield from _in_document(inline.get("policy"))
    arns = resource.get("managedPolicyArns") if resource.is_a(_ROLE) else resource.get("policyArn")
    for arn in texts(arns) if resource.type.startswith("aws:iam/") else []:
        if arn.endswith(("/AdministratorAccess", "/PowerUserAccess", "FullAccess")):
            yield f"it attaches {arn.rpartition('/')[2]}, which allows every action of a service"


def _in_document(document: Any) -> Iterator[str]:
    for statement in documents(document):
        if statement.get("Effect") != "Allow":
            continue
        actions = texts(statement.get("Action"))
        if "NotAction" in statement or "NotResource" in statement:
            yield "it allows all but a list (NotAction or NotResource)"
        if wide := [a for a in actions if a == "*" or a.endswith(":*")]:
            yield f"it allows the actions {', '.join(wide)}"
        if "*" in texts(statement.get("Resource")):
            bound = [a for a in actions if not a.startswith(_WITHOUT_RESOURCE)]
            if bound:
                yield f"it allows {', '.join(bound)} on every resource (*)"


RULES = (
    Rule(
        name="no-wildcard-iam",
        description="IAM policies name their actions and resources.",
        remedy="List the actions that are needed and the ARNs they are needed on.",
        check=_wildcards,
    ),
)
