"""Each rule: what it refuses, what it lets pass, and what it cannot judge yet."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_policies import rules
from mlops_policies.pods import image_problem
from mlops_policies.rule import UNKNOWN, Allowed, Resource
from mlops_policies.rules import PolicyConfigError
from mlops_policies.tags import TAGGED

TAGS = {
    "mlops-platform/stack": "s",
    "mlops-platform/owner": "o",
    "mlops-platform/expires": "2030-01-01",
}
CONTAINER = {
    "name": "c",
    "image": "registry.example:5000/app:1.2.3",
    "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
}
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
SSE = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
TLS_ONLY = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": "*",
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
BLOCKED = {
    "blockPublicAcls": True,
    "blockPublicPolicy": True,
    "ignorePublicAcls": True,
    "restrictPublicBuckets": True,
}


def _broken(kind: str, props: dict[str, Any], allowed: Allowed | None = None) -> set[str]:
    resource = Resource(type=kind, name="it", props=props)
    return {rule.name for rule, _ in rules.violations(resource, allowed or Allowed())}


def _pod(**changes: Any) -> dict[str, Any]:
    spec = {"containers": [{**CONTAINER, **changes.pop("container", {})}], **changes}
    return {"spec": {"template": {"spec": spec}}}


def _document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"policy": json.dumps({"Version": "2012-10-17", "Statement": list(statements)})}


def _allow(**keys: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*", **keys}


def _sse(algorithm: Any) -> dict[str, Any]:
    return {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": algorithm}}]}


def _cluster(**vpc: Any) -> dict[str, Any]:
    return {"tags": TAGS, "encryptionConfig": {"provider": {}}, "vpcConfig": vpc}


BAD = [
    ("no-public-bucket", "aws:s3/bucketAcl:BucketAcl", {"acl": "public-read"}),
    ("no-public-bucket", BLOCK, {**BLOCKED, "blockPublicPolicy": False}),
    ("no-public-bucket", BLOCK, {"blockPublicAcls": True}),
    ("no-public-bucket", BUCKET_POLICY, _document(TLS_ONLY, _allow(Principal="*"))),
    ("no-public-bucket", BUCKET_POLICY, _document(TLS_ONLY, _allow(Principal={"AWS": ["*"]}))),
    ("bucket-tls-only", BUCKET_POLICY, _document(_allow(Principal={"AWS": "arn:x"}))),
    ("bucket-encryption", SSE, _sse("AES256")),
    ("encryption-at-rest", "aws:rds/instance:Instance", {"tags": TAGS}),
    ("encryption-at-rest", "aws:ebs/volume:Volume", {"tags": TAGS, "encrypted": False}),
    ("encryption-at-rest", "aws:eks/cluster:Cluster", {"tags": TAGS, "vpcConfig": UNKNOWN}),
    ("encryption-in-transit", "aws:lb/listener:Listener", {"protocol": "HTTP"}),
    (
        "no-wildcard-iam",
        "aws:iam/policy:Policy",
        {**_document(_allow(Action="s3:*")), "tags": TAGS},
    ),
    ("no-wildcard-iam", "aws:iam/rolePolicy:RolePolicy", _document(_allow(Resource="*"))),
    ("no-wildcard-iam", "aws:iam/rolePolicy:RolePolicy", _document(_allow(Action=["*"]))),
    ("no-wildcard-iam", "aws:iam/rolePolicy:RolePolicy", _document(_allow(NotAction="iam:*"))),
    (
        "no-wildcard-iam",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
    ),
    (
        "private-nodes",
        "aws:rds/instance:Instance",
        {"tags": TAGS, "storageEncrypted": True, "publiclyAccessible": True},
    ),
    ("private-nodes", "aws:ec2/subnet:Subnet", {"tags": TAGS, "mapPublicIpOnLaunch": True}),
    ("private-nodes", "aws:eks/nodeGroup:NodeGroup", {"tags": TAGS, "remoteAccess": {"k": "v"}}),
    ("no-open-ingress", INGRESS, {"cidrIpv4": "0.0.0.0/0", "fromPort": 22.0}),
    (
        "no-open-ingress",
        "aws:ec2/securityGroup:SecurityGroup",
        {"tags": TAGS, "ingress": [{"cidrBlocks": ["0.0.0.0/0"], "fromPort": 22}]},
    ),
    ("no-open-ingress", "aws:eks/cluster:Cluster", _cluster(endpointPublicAccess=True)),
    ("no-open-ingress", "aws:eks/cluster:Cluster", _cluster()),
    ("fixed-image", DEPLOYMENT, _pod(container={"image": "app:latest"})),
    ("fixed-image", "kubernetes:apps/v1:StatefulSet", _pod(container={"image": "r:5000/app"})),
    (
        "fixed-image",
        "kubernetes:batch/v1:CronJob",
        {"spec": {"jobTemplate": _pod(container={"image": "app"})}},
    ),
    ("fixed-image", DEPLOYMENT, _pod(initContainers=[{**CONTAINER, "image": "app:main"}])),
    ("resource-requests", DEPLOYMENT, _pod(container={"resources": {"requests": {"cpu": "1"}}})),
    ("resource-requests", DEPLOYMENT, _pod(container={"resources": None})),
    ("no-privileged-pod", DEPLOYMENT, _pod(hostNetwork=True)),
    ("no-privileged-pod", DEPLOYMENT, _pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}])),
    (
        "no-privileged-pod",
        DEPLOYMENT,
        _pod(container={"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}),
    ),
    (
        "no-default-credential",
        "kubernetes:core/v1:Secret",
        {"stringData": {"password": "minio123"}},
    ),
    (
        "no-default-credential",
        "aws:rds/instance:Instance",
        {"tags": TAGS, "storageEncrypted": True, "password": "Admin"},
    ),
    (
        "no-default-credential",
        DEPLOYMENT,
        _pod(container={"env": [{"name": "DB_PASSWORD", "value": "root"}]}),
    ),
    (
        "tags-and-expiry",
        "aws:ecr/repository:Repository",
        {"tags": {k: v for k, v in TAGS.items() if not k.endswith("expires")}},
    ),
]

GOOD = [
    ("aws:s3/bucketAcl:BucketAcl", {"acl": "private"}),
    (BLOCK, BLOCKED),
    (BUCKET_POLICY, _document(TLS_ONLY, _allow(Principal={"AWS": "arn:x"}))),
    (SSE, _sse("aws:kms")),
    ("aws:rds/instance:Instance", {"tags": TAGS, "storageEncrypted": True, "password": "x7!kQ"}),
    ("aws:iam/rolePolicy:RolePolicy", _document(_allow())),
    # AWS accepts no other resource for this action.
    (
        "aws:iam/rolePolicy:RolePolicy",
        _document(_allow(Action="ecr:GetAuthorizationToken", Resource="*")),
    ),
    (
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        {"policyArn": "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"},
    ),
    ("aws:eks/cluster:Cluster", _cluster(endpointPublicAccess=False)),
    (
        "aws:eks/cluster:Cluster",
        _cluster(endpointPublicAccess=True, publicAccessCidrs=["203.0.113.0/24"]),
    ),
    (DEPLOYMENT, _pod()),
    (DEPLOYMENT, _pod(container={"image": f"app@sha256:{'a' * 64}"})),
    # A limit is a request too.
    (DEPLOYMENT, _pod(container={"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}})),
    (DEPLOYMENT, _pod(container={"env": [{"name": "PASSWORD_FILE", "value": "root"}]})),
    ("kubernetes:core/v1:Secret", {"stringData": {"password": "w9Zr-long-and-random"}}),
    ("aws:ecr/repository:Repository", {"tags": {"Name": "s"}, "tagsAll": TAGS}),
]


@pytest.mark.parametrize(("rule", "kind", "props"), BAD)
def test_a_violation_is_found_by_its_rule_alone(
    rule: str, kind: str, props: dict[str, Any]
) -> None:
    assert _broken(kind, props) == {rule}


@pytest.mark.parametrize(("kind", "props"), GOOD)
def test_what_is_right_passes(kind: str, props: dict[str, Any]) -> None:
    assert _broken(kind, props) == set()


def test_every_rule_is_tried_and_says_what_to_do() -> None:
    assert {rule for rule, _, _ in BAD} == {rule.name for rule in rules.RULES}
    assert all(rule.remedy.endswith(".") and rule.description for rule in rules.RULES)
    assert len({rule.name for rule in rules.RULES}) == len(rules.RULES)


def test_a_listed_pod_may_be_privileged() -> None:
    props = _pod(container={"securityContext": {"privileged": True}})
    assert _broken(DEPLOYMENT, props) == {"no-privileged-pod"}
    assert _broken(DEPLOYMENT, props, Allowed(privileged=frozenset({"it"}))) == set()


@pytest.mark.parametrize(("kind", "props"), [(kind, props) for _, kind, props in BAD])
def test_what_is_not_known_yet_is_no_violation_and_no_crash(
    kind: str, props: dict[str, Any]
) -> None:
    def forget(value: Any, depth: int) -> Any:
        if depth == 0:
            return UNKNOWN
        if isinstance(value, dict):
            return {k: forget(v, depth - 1) for k, v in value.items()}
        return [forget(v, depth - 1) for v in value] if isinstance(value, list) else value

    # Of the tags, not of the rest: what a resource must say is missing all the same.
    for depth in range(1, 7):
        broken = _broken(kind, forget(props, depth))
        assert broken <= {"encryption-at-rest", *_broken(kind, props)}


@given(st.sampled_from(["app", "r.example/app", "r:5000/a/app"]), st.integers(0, 99))
def test_a_version_is_fixed_and_its_absence_is_not(name: str, number: int) -> None:
    assert not image_problem(f"{name}:1.{number}.0")
    assert not image_problem(f"{name}:v{number}@sha256:{'0' * 64}")
    assert "latest" in image_problem(name)
    assert "moved" in image_problem(f"{name}:latest")


def test_types_are_spelt_as_the_sdk_spells_them() -> None:
    import importlib.util  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    spec = importlib.util.find_spec("pulumi_aws")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    for token in {kind for _, kind, _ in BAD if kind.startswith("aws:")} | TAGGED:
        module = token.split(":")[1].split("/")[0]
        sources = (file.read_text() for file in (folder / module).glob("*.py"))
        # bucketV2 and others have kept the token of what they replace.
        assert any(f"'{token}'" in text for text in sources), token


def _levels(**config: str) -> dict[str, str]:
    return {name: found["enforcementLevel"] for name, found in rules.pack_config(config).items()}


def test_the_stack_chooses_the_level() -> None:
    assert set(_levels().values()) == {"mandatory"}
    assert set(_levels(policies="advisory").values()) == {"advisory"}
    one = _levels(advisoryPolicies="fixed-image, private-nodes")
    assert {k for k, v in one.items() if v == "advisory"} == {"fixed-image", "private-nodes"}
    listed = rules.pack_config({"privilegedPods": "a, b"})
    assert listed["no-privileged-pod"]["allowed"] == ["a", "b"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"policies": "off"}, "write mandatory or advisory"),
        ({"policies": "disabled"}, "write mandatory or advisory"),
        ({"advisoryPolicies": "no-such"}, "the rules are .*no-public-bucket"),
    ],
)
def test_a_wrong_level_or_rule_is_named(config: dict[str, str], words: str) -> None:
    with pytest.raises(PolicyConfigError, match=words):
        rules.pack_config(config)
