"""Buckets and what is set on them."""

import json
import secrets
from collections.abc import Callable
from typing import Any

from mlops_aws_standin.clients import Aws
from mlops_aws_standin.kind import Kind, Read, Update, Values, boto_tags, from_boto_tags, given

_PARTS = {
    "blockPublicAcls": "BlockPublicAcls",
    "blockPublicPolicy": "BlockPublicPolicy",
    "ignorePublicAcls": "IgnorePublicAcls",
    "restrictPublicBuckets": "RestrictPublicBuckets",
}


def _create_bucket(aws: Aws, values: Values) -> tuple[str, Values]:
    name = values.get("bucket") or f"{values['bucketPrefix']}{secrets.token_hex(13)}"
    where = {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
    aws.client("s3").create_bucket(Bucket=name, **({} if aws.region == "us-east-1" else where))
    _retag(aws, name, values)
    return name, {
        "bucket": name,
        "arn": f"arn:aws:s3:::{name}",
        "bucketRegionalDomainName": f"{name}.s3.{aws.region}.amazonaws.com",
    }


def _retag(aws: Aws, name: str, values: Values) -> None:
    aws.client("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": boto_tags(values)})


def _read_bucket(aws: Aws, name: str, _state: Values) -> Values:
    client = aws.client("s3")
    client.head_bucket(Bucket=name)
    return {"tagsAll": from_boto_tags(client.get_bucket_tagging(Bucket=name)["TagSet"])}


def _delete_bucket(aws: Aws, name: str, state: Values) -> None:
    client = aws.client("s3")
    if state.get("forceDestroy"):
        for page in client.get_paginator("list_object_versions").paginate(Bucket=name):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            objects = [{"Key": o["Key"], "VersionId": o["VersionId"]} for o in found]
            if objects:
                client.delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True})
    client.delete_bucket(Bucket=name)


def _put_versioning(aws: Aws, name: str, values: Values) -> None:
    status = values["versioningConfiguration"]["status"]
    aws.client("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})


def _read_versioning(aws: Aws, name: str, _state: Values) -> Values | None:
    status = aws.client("s3").get_bucket_versioning(Bucket=name).get("Status")
    return {"versioningConfiguration": {"status": status}} if status else None


def _suspend_versioning(aws: Aws, name: str, _state: Values) -> None:
    aws.client("s3").put_bucket_versioning(
        Bucket=name, VersioningConfiguration={"Status": "Suspended"}
    )


def _put_encryption(aws: Aws, name: str, values: Values) -> None:
    rules = []
    for rule in values["rules"]:
        default = rule["applyServerSideEncryptionByDefault"]
        rules.append(
            {
                "ApplyServerSideEncryptionByDefault": given(
                    SSEAlgorithm=default["sseAlgorithm"],
                    KMSMasterKeyID=default.get("kmsMasterKeyId"),
                ),
                "BucketKeyEnabled": rule.get("bucketKeyEnabled", False),
            }
        )
    aws.client("s3").put_bucket_encryption(
        Bucket=name, ServerSideEncryptionConfiguration={"Rules": rules}
    )


def _read_encryption(aws: Aws, name: str, _state: Values) -> Values | None:
    found = aws.client("s3").get_bucket_encryption(Bucket=name)
    rules = found["ServerSideEncryptionConfiguration"]["Rules"]
    return {
        "rules": [
            {
                "applyServerSideEncryptionByDefault": given(
                    sseAlgorithm=rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"],
                    kmsMasterKeyId=rule["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID")
                    or None,
                ),
                "bucketKeyEnabled": rule.get("BucketKeyEnabled", False),
            }
            for rule in rules
        ]
    }


def _put_block(aws: Aws, name: str, values: Values) -> None:
    wanted = {boto: values.get(key, False) for key, boto in _PARTS.items()}
    aws.client("s3").put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=wanted)


def _read_block(aws: Aws, name: str, _state: Values) -> Values | None:
    found = aws.client("s3").get_public_access_block(Bucket=name)
    block = found["PublicAccessBlockConfiguration"]
    return {key: block[boto] for key, boto in _PARTS.items()}


def _put_ownership(aws: Aws, name: str, values: Values) -> None:
    rule = {"ObjectOwnership": values["rule"]["objectOwnership"]}
    aws.client("s3").put_bucket_ownership_controls(Bucket=name, OwnershipControls={"Rules": [rule]})


def _read_ownership(aws: Aws, name: str, _state: Values) -> Values | None:
    found = aws.client("s3").get_bucket_ownership_controls(Bucket=name)
    return {"rule": {"objectOwnership": found["OwnershipControls"]["Rules"][0]["ObjectOwnership"]}}


def _put_policy(aws: Aws, name: str, values: Values) -> None:
    aws.client("s3").put_bucket_policy(Bucket=name, Policy=_for_moto(values["policy"]))


def _for_moto(policy: str) -> str:
    """Return a policy without what moto misreads.

    It takes no notice of conditions, so that "deny without TLS" would deny everything.
    """
    document = json.loads(policy)
    document["Statement"] = [
        statement
        for statement in document["Statement"]
        if statement["Effect"] == "Allow" or "Condition" not in statement
    ]
    return json.dumps(document)


def _read_policy(aws: Aws, name: str, state: Values) -> Values | None:
    found = aws.client("s3").get_bucket_policy(Bucket=name)["Policy"]
    same = json.loads(found) == json.loads(_for_moto(state["policy"]))
    return {"policy": state["policy"] if same else found}


def _put_logging(aws: Aws, name: str, values: Values) -> None:
    wanted = {"TargetBucket": values["targetBucket"], "TargetPrefix": values["targetPrefix"]}
    aws.client("s3").put_bucket_logging(Bucket=name, BucketLoggingStatus={"LoggingEnabled": wanted})


def _read_logging(aws: Aws, name: str, _state: Values) -> Values | None:
    found = aws.client("s3").get_bucket_logging(Bucket=name).get("LoggingEnabled")
    if not found:
        return None
    return {"targetBucket": found["TargetBucket"], "targetPrefix": found["TargetPrefix"]}


def _put_lifecycle(aws: Aws, name: str, values: Values) -> None:
    rules = []
    for rule in values["rules"]:
        expiration, old = rule.get("expiration"), rule.get("noncurrentVersionExpiration")
        upload = rule.get("abortIncompleteMultipartUpload")
        rules.append(
            given(
                ID=rule["id"],
                Status=rule["status"],
                Filter={"Prefix": (rule.get("filter") or {}).get("prefix", "")},
                Expiration={"Days": expiration["days"]} if expiration else None,
                NoncurrentVersionExpiration=(
                    {"NoncurrentDays": old["noncurrentDays"]} if old else None
                ),
                AbortIncompleteMultipartUpload=(
                    {"DaysAfterInitiation": upload["daysAfterInitiation"]} if upload else None
                ),
            )
        )
    aws.client("s3").put_bucket_lifecycle_configuration(
        Bucket=name, LifecycleConfiguration={"Rules": rules}
    )


def _read_lifecycle(aws: Aws, name: str, _state: Values) -> Values | None:
    aws.client("s3").get_bucket_lifecycle_configuration(Bucket=name)
    return {}


def _setting(put: Update, read: Read, operation: str | Callable[..., None], *places: str) -> Kind:
    """Return the kind of something that is set on a bucket, whose name is its id."""

    def create(aws: Aws, values: Values) -> tuple[str, Values]:
        put(aws, values["bucket"], values)
        return values["bucket"], {}

    def delete(aws: Aws, name: str, state: Values) -> None:
        if callable(operation):
            operation(aws, name, state)
        else:
            getattr(aws.client("s3"), operation)(Bucket=name)

    return Kind(create=create, read=read, delete=delete, update=put, in_place=frozenset(places))


def _stop_logging(aws: Aws, name: str, _state: Any) -> None:
    aws.client("s3").put_bucket_logging(Bucket=name, BucketLoggingStatus={})


KINDS: dict[str, Kind] = {
    "aws:s3/bucket:Bucket": Kind(
        create=_create_bucket,
        read=_read_bucket,
        delete=_delete_bucket,
        update=_retag,
        in_place=frozenset({"forceDestroy"}),
        computed=("bucket", "arn", "bucketRegionalDomainName"),
    ),
    "aws:s3/bucketVersioning:BucketVersioning": _setting(
        _put_versioning, _read_versioning, _suspend_versioning, "versioningConfiguration"
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        _setting(_put_encryption, _read_encryption, "delete_bucket_encryption", "rules")
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _setting(
        _put_block, _read_block, "delete_public_access_block", *_PARTS
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _setting(
        _put_ownership, _read_ownership, "delete_bucket_ownership_controls", "rule"
    ),
    "aws:s3/bucketPolicy:BucketPolicy": _setting(
        _put_policy, _read_policy, "delete_bucket_policy", "policy"
    ),
    "aws:s3/bucketLogging:BucketLogging": _setting(
        _put_logging, _read_logging, _stop_logging, "targetBucket", "targetPrefix"
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _setting(
        _put_lifecycle, _read_lifecycle, "delete_bucket_lifecycle", "rules"
    ),
}
