"""EKS: clusters and node groups in moto; the rest in a state of the stand-in's own."""

import os
import re
from collections.abc import Callable
from typing import Final

from botocore.exceptions import ClientError

from mlops_aws_standin import unchecked
from mlops_aws_standin.clients import Aws
from mlops_aws_standin.kind import Kind, Values, given, is_missing
from mlops_aws_standin.unchecked import UncheckedError

ENDPOINT: Final = "MLOPS_AWS_STANDIN_EKS_ENDPOINT"
AUTHORITY: Final = "MLOPS_AWS_STANDIN_EKS_AUTHORITY"
"""Variables with the URL and the base64 authority of the API that plays every cluster's."""

# What AWS offers as managed add-ons, of those that the program may ask for.
_ADDONS = frozenset(
    {"vpc-cni", "coredns", "kube-proxy", "aws-ebs-csi-driver", "eks-pod-identity-agent"}
)
_POLICY = re.compile(r"arn:aws:eks::aws:cluster-access-policy/[A-Za-z0-9]+")
_ROLE = re.compile(r"arn:aws:iam::[0-9]{12}:role/.+")


def _create_cluster(aws: Aws, values: Values) -> tuple[str, Values]:
    vpc = values["vpcConfig"]
    _subnets_exist(aws, vpc["subnetIds"])
    logs = values.get("enabledClusterLogTypes", [])
    encryption = values.get("encryptionConfig")
    made = aws.client("eks").create_cluster(
        name=values["name"],
        roleArn=values["roleArn"],
        resourcesVpcConfig=given(
            subnetIds=vpc["subnetIds"],
            endpointPrivateAccess=vpc.get("endpointPrivateAccess"),
            endpointPublicAccess=vpc.get("endpointPublicAccess"),
            publicAccessCidrs=vpc.get("publicAccessCidrs"),
        ),
        logging={"clusterLogging": [{"types": logs, "enabled": True}]},
        tags=values.get("tagsAll") or {},
        **given(
            version=values.get("version"),
            encryptionConfig=[
                {
                    "resources": encryption["resources"],
                    "provider": {"keyArn": encryption["provider"]["keyArn"]},
                }
            ]
            if encryption
            else None,
        ),
    )["cluster"]
    return values["name"], {
        "arn": made["arn"],
        # Moto's leads nowhere.
        "endpoint": os.environ.get(ENDPOINT) or made["endpoint"],
        "certificateAuthority": {
            "data": os.environ.get(AUTHORITY) or made["certificateAuthority"]["data"]
        },
        "status": "ACTIVE",
    }


def _subnets_exist(aws: Aws, identities: list[str]) -> None:
    # Moto takes any; this raises as EKS does.
    aws.client("ec2").describe_subnets(SubnetIds=identities)


def _read_cluster(aws: Aws, name: str, _state: Values) -> Values | None:
    found = aws.client("eks").describe_cluster(name=name)["cluster"]
    return {"version": found["version"], "roleArn": found["roleArn"], "tagsAll": found["tags"]}


def _create_group(aws: Aws, values: Values) -> tuple[str, Values]:
    template = values.get("launchTemplate")
    scaling = values["scalingConfig"]
    _subnets_exist(aws, values["subnetIds"])
    effects = {"NO_SCHEDULE": "NO_SCHEDULE", "PREFER_NO_SCHEDULE": "PREFER_NO_SCHEDULE"}
    made = aws.client("eks").create_nodegroup(
        clusterName=values["clusterName"],
        nodegroupName=values["nodeGroupName"],
        nodeRole=values["nodeRoleArn"],
        subnets=values["subnetIds"],
        scalingConfig={
            "minSize": scaling["minSize"],
            "maxSize": scaling["maxSize"],
            "desiredSize": scaling["desiredSize"],
        },
        tags=values.get("tagsAll") or {},
        **given(
            instanceTypes=values.get("instanceTypes"),
            amiType=values.get("amiType"),
            capacityType=values.get("capacityType"),
            labels=values.get("labels"),
            version=values.get("version"),
            taints=[
                given(key=t["key"], value=t.get("value"), effect=effects[t["effect"]])
                for t in values.get("taints", [])
            ]
            or None,
            launchTemplate=given(id=template["id"], version=template["version"])
            if template
            else None,
        ),
    )["nodegroup"]
    return f"{values['clusterName']}:{values['nodeGroupName']}", {
        "arn": made["nodegroupArn"],
        "status": "ACTIVE",
    }


def _read_group(aws: Aws, identity: str, _state: Values) -> Values | None:
    cluster, _, name = identity.partition(":")
    found = aws.client("eks").describe_nodegroup(clusterName=cluster, nodegroupName=name)
    group = found["nodegroup"]
    # The desired size is the autoscaler's; the program's is the one of the beginning.
    return {"tagsAll": group["tags"], "labels": group.get("labels") or {}}


def _delete_group(aws: Aws, identity: str, _state: Values) -> None:
    cluster, _, name = identity.partition(":")
    aws.client("eks").delete_nodegroup(clusterName=cluster, nodegroupName=name)


def _delete_cluster(aws: Aws, name: str, _state: Values) -> None:
    aws.client("eks").delete_cluster(name=name)


def _retag(aws: Aws, _identity: str, values: Values) -> None:
    aws.client("eks").tag_resource(resourceArn=values["arn"], tags=values.get("tagsAll") or {})


def _own(
    kind: str,
    identify: Callable[[Values], str],
    check: Callable[[Aws, Values], None],
    *in_place: str,
) -> Kind:
    """Return a kind that moto does not have."""

    def create(aws: Aws, values: Values) -> tuple[str, Values]:
        _cluster_exists(aws, values["clusterName"])
        check(aws, values)
        identity = identify(values)
        unchecked.put(kind, identity, values, new=True)
        arn = f"arn:aws:eks:{aws.region}:123456789012:{kind}/{identity}"
        return identity, {"arn": arn, "associationId": identity}

    def read(aws: Aws, identity: str, _state: Values) -> Values | None:
        # They go with their cluster, as at AWS.
        kept = unchecked.entries(kind).get(identity)
        if kept is None or not _has_cluster(aws, kept["clusterName"]):
            return None
        return dict(kept)

    def update(aws: Aws, identity: str, values: Values) -> None:
        check(aws, values)
        unchecked.put(kind, identity, values, new=False)

    def delete(_aws: Aws, identity: str, _state: Values) -> None:
        unchecked.remove(kind, identity)

    return Kind(
        create=create,
        read=read,
        delete=delete,
        update=update,
        in_place=frozenset(in_place),
        computed=("arn", "associationId"),
        checked=False,
    )


def _has_cluster(aws: Aws, name: str) -> bool:
    try:
        aws.client("eks").describe_cluster(name=name)
    except ClientError as error:
        if is_missing(error):
            return False
        raise
    return True


def _cluster_exists(aws: Aws, name: str) -> None:
    if not _has_cluster(aws, name):
        raise UncheckedError(f"no EKS cluster {name!r}")


def _check_addon(_aws: Aws, values: Values) -> None:
    if values["addonName"] not in _ADDONS:
        known = ", ".join(sorted(_ADDONS))
        raise UncheckedError(f"no EKS add-on {values['addonName']!r}; there are {known}")


def _check_entry(_aws: Aws, values: Values) -> None:
    if not values["principalArn"].startswith("arn:aws:iam::"):
        raise UncheckedError(f"{values['principalArn']!r} is no ARN of a role or user")


def _check_policy(_aws: Aws, values: Values) -> None:
    if not _POLICY.fullmatch(values["policyArn"]):
        raise UncheckedError(f"{values['policyArn']!r} is no access policy of EKS")
    entry = f"{values['clusterName']}:{values['principalArn']}"
    if entry not in unchecked.entries("access-entry"):
        raise UncheckedError(f"{values['principalArn']} has no access entry")


def _check_association(aws: Aws, values: Values) -> None:
    if not _ROLE.fullmatch(values["roleArn"]):
        raise UncheckedError(f"{values['roleArn']!r} is no role's ARN")
    # Raises when there is none.
    role = aws.client("iam").get_role(RoleName=values["roleArn"].rpartition("/")[2])["Role"]
    trust = str(role["AssumeRolePolicyDocument"])
    if "pods.eks.amazonaws.com" not in trust or "sts:TagSession" not in trust:
        raise UncheckedError(f"{values['roleArn']} does not trust pods.eks.amazonaws.com")


def _joined(*keys: str) -> Callable[[Values], str]:
    def identify(values: Values) -> str:
        return ":".join(str(values[key]) for key in keys)

    return identify


KINDS: dict[str, Kind] = {
    "aws:eks/cluster:Cluster": Kind(
        create=_create_cluster,
        read=_read_cluster,
        delete=_delete_cluster,
        update=_retag,
        computed=("arn", "endpoint", "certificateAuthority", "status"),
        name="name",
    ),
    "aws:eks/nodeGroup:NodeGroup": Kind(
        create=_create_group,
        read=_read_group,
        delete=_delete_group,
        update=_retag,
        in_place=frozenset({"version"}),
        computed=("arn", "status"),
        name="nodeGroupName",
    ),
    "aws:eks/addon:Addon": _own(
        "addon",
        _joined("clusterName", "addonName"),
        _check_addon,
        "addonVersion",
        "configurationValues",
    ),
    "aws:eks/accessEntry:AccessEntry": _own(
        "access-entry", _joined("clusterName", "principalArn"), _check_entry, "kubernetesGroups"
    ),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": _own(
        "access-policy", _joined("clusterName", "principalArn", "policyArn"), _check_policy
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": _own(
        "pod-identity",
        _joined("clusterName", "namespace", "serviceAccount"),
        _check_association,
        "roleArn",
    ),
}
