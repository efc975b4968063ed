"""Buckets: private, encrypted, reached by TLS only."""

from collections.abc import Iterator
from typing import Any

from mlops_policies.rule import UNKNOWN, Allowed, Resource, Rule, documents, texts

_ACL_TYPES = (
    "aws:s3/bucketAcl:BucketAcl",
    "aws:s3/bucketAclV2:BucketAclV2",
    "aws:s3/bucket:Bucket",
    "aws:s3/bucketV2:BucketV2",
)
_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
_BLOCK_TYPES = (
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/accountPublicAccessBlock:AccountPublicAccessBlock",
)
_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_ENCRYPTION = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2",
)

_LOGS = "-logs-encryption"


def _public(resource: Resource, _: Allowed) -> Iterator[str]:
    if resource.is_a(*_ACL_TYPES):
        acl = resource.get("acl")
        if isinstance(acl, str) and (acl.startswith("public") or acl == "authenticated-read"):
            yield f"its ACL {acl!r} opens it to everybody"
    if resource.is_a(*_BLOCK_TYPES):
        off = [key for key in _BLOCKS if resource.get(key) not in (True, UNKNOWN)]
        if off:
            yield f"public access is not blocked: {', '.join(off)} must be true"
    if resource.is_a(_POLICY):
        for statement in documents(resource.get("policy")):
            if _opens(statement):
                yield "its policy allows everybody: a statement has principal *"


def _opens(statement: dict[str, Any]) -> bool:
    principal = statement.get("Principal")
    anyone = principal == "*" or (
        isinstance(principal, dict) and "*" in texts(principal.get("AWS"))
    )
    return statement.get("Effect") == "Allow" and anyone and not statement.get("Condition")


def _unencrypted(resource: Resource, _: Allowed) -> Iterator[str]:
    if not resource.is_a(*_ENCRYPTION):
        return
    rules = resource.get("rules", [])
    for rule in rules if isinstance(rules, list) else []:
        chosen = rule.get("applyServerSideEncryptionByDefault") if isinstance(rule, dict) else None
        algorithm = chosen.get("sseAlgorithm") if isinstance(chosen, dict) else chosen
        # S3 writes access logs only into buckets that it encrypts with its own key.
        if algorithm == "AES256" and resource.name.endswith(_LOGS):
            continue
        if chosen is not UNKNOWN and algorithm not in ("aws:kms", "aws:kms:dsse", UNKNOWN):
            yield f"it is encrypted with {algorithm or 'nothing'}, not with a KMS key"


def _plain_text(resource: Resource, _: Allowed) -> Iterator[str]:
    if not resource.is_a(_POLICY) or resource.get("policy") is UNKNOWN:
        return
    if not any(map(_refuses_plain_text, documents(resource.get("policy")))):
        yield "its policy lets requests without TLS in"


def _refuses_plain_text(statement: dict[str, Any]) -> bool:
    condition = statement.get("Condition")
    boolean = condition.get("Bool") if isinstance(condition, dict) else None
    secure = boolean.get("aws:SecureTransport") if isinstance(boolean, dict) else None
    return statement.get("Effect") == "Deny" and (secure is False or texts(secure) == ["false"])


RULES = (
    Rule(
        name="no-public-bucket",
        description="No bucket is public.",
        remedy="Block all public access, remove public ACLs, and name the principals in policies.",
        check=_public,
    ),
    Rule(
        name="bucket-encryption",
        description="Buckets are encrypted with a KMS key, those of access logs at least by S3.",
        remedy="Set sse_algorithm to aws:kms and give the key, or AES256 where the bucket is for "
        f"access logs and the resource's name ends with {_LOGS}.",
        check=_unencrypted,
    ),
    Rule(
        name="bucket-tls-only",
        description="Buckets refuse requests without TLS.",
        remedy="Add a Deny statement for all principals, with the condition "
        'Bool {"aws:SecureTransport": "false"}.',
        check=_plain_text,
    ),
)
