"""The stack's buckets on S3: private, encrypted, versioned, logged."""

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from mlops_infra.aws.account import Account
from mlops_infra.buckets import EXPIRING, Buckets, BucketsArgs, ObjectStore


def object_store(region: str, endpoint: str = "") -> ObjectStore:
    """Return AWS's S3 as the other layers see it.

    It has no keys: an empty one makes every AWS SDK go on to the next source of credentials, which
    is Pod Identity in a Pod and the user's own on this machine.

    Args:
        region: AWS region.
        endpoint: URL of S3's API, where it is not the region's public one.
    """
    endpoint = endpoint or f"https://s3.{region}.amazonaws.com"
    return ObjectStore(
        endpoint=pulumi.Output.from_input(endpoint),
        cluster_endpoint=endpoint,
        shared_endpoint=pulumi.Output.from_input(endpoint),
        region=region,
        access_key=pulumi.Output.from_input(""),
        secret_key=pulumi.Output.from_input(""),
        keyless=True,
    )


@dataclass(frozen=True, kw_only=True)
class AwsBucketsArgs(BucketsArgs):
    """What buckets on S3 need beside what every store's do.

    Attributes:
        account: where they are.
        key_arn: key that encrypts them.
        key: the key, which goes after them: without it nobody reads what they hold.
        noncurrent_days: days that replaced versions of objects are kept.
        artifact_expiry_days: days after which what needs no look into the registry expires; 0
            keeps it.
    """

    account: Account
    key_arn: pulumi.Output[str]
    key: pulumi.Resource
    noncurrent_days: int
    artifact_expiry_days: int


class AwsBuckets(Buckets):
    """Buckets on S3, under names of their own: S3's are shared by all the world."""

    TOKEN = "mlops:infra:AwsBuckets"  # noqa: S105 - a resource's type

    def __init__(
        self, name: str, args: AwsBucketsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        self._aws = args
        self._logs: tuple[aws.s3.Bucket, aws.s3.BucketPolicy] | None = None
        super().__init__(name, args, pulumi.ResourceOptions.merge(args.account.options(), opts))

    def _bucket(self, purpose: str, *, versioning: bool = False) -> pulumi.Output[str]:
        # Versions are kept of all, not only of models: on S3 they cost what they hold.
        del versioning
        if self._logs is None:
            self._logs = self._log_bucket()
        logs, log_access = self._logs
        name = f"{self._prefix}-{purpose}"
        bucket, *protection = self._base(name, key_arn=self._aws.key_arn)
        child = pulumi.ResourceOptions(parent=self)
        versions = aws.s3.BucketVersioning(
            f"{name}-versions",
            bucket=bucket.id,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(
                status="Enabled"
            ),
            opts=child,
        )
        aws.s3.BucketLogging(
            f"{name}-logging",
            bucket=bucket.id,
            target_bucket=logs.id,
            target_prefix=f"{purpose}/",
            # Until its policy lets S3 write, the target is refused.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[log_access]),
        )
        rules = [
            aws.s3.BucketLifecycleConfigurationRuleArgs(
                id="clean",
                status="Enabled",
                filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
                abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                    days_after_initiation=7
                ),
                noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                    noncurrent_days=self._aws.noncurrent_days
                ),
            )
        ]
        if self._aws.artifact_expiry_days and purpose in EXPIRING:
            rules.append(_expiry(self._aws.artifact_expiry_days, prefix=EXPIRING[purpose]))
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=bucket.id,
            rules=rules,
            # Rules about versions are refused before versioning is on.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versions]),
        )
        # What is written there is encrypted, private and versioned from its first byte, and is
        # deleted while it still is. URNs are known in a preview.
        return pulumi.Output.all(
            bucket.bucket, *(resource.urn for resource in (versions, *protection))
        ).apply(lambda values: str(values[0]))

    def _log_bucket(self) -> tuple[aws.s3.Bucket, aws.s3.BucketPolicy]:
        """Make the bucket of access logs; S3 cannot write them with a KMS key."""
        name = f"{self._prefix}-logs"
        bucket, policy, _ = self._base(name, key_arn=None)
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=bucket.id,
            rules=[_expiry(90)],
            opts=pulumi.ResourceOptions(parent=self),
        )
        return bucket, policy

    def _base(
        self, name: str, *, key_arn: pulumi.Output[str] | None
    ) -> tuple[aws.s3.Bucket, aws.s3.BucketPolicy, aws.s3.BucketServerSideEncryptionConfiguration]:
        child = pulumi.ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(
            name,
            # The resource's name would not tell the stack, nor be free in all the world.
            bucket_prefix=f"mlops-{self._aws.account.stack}-{name.rpartition('-')[2]}-"[:37],
            force_destroy=self._aws.ephemeral or key_arn is None,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self._aws.key]),
        )
        encryption = aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.id,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms" if key_arn else "AES256",
                        "kms_master_key_id": key_arn,
                    },
                    # One key request per bucket and not per object.
                    "bucket_key_enabled": key_arn is not None,
                }
            ],
            opts=child,
        )
        block = aws.s3.BucketPublicAccessBlock(
            f"{name}-private",
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        aws.s3.BucketOwnershipControls(
            f"{name}-ownership",
            bucket=bucket.id,
            rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=child,
        )
        policy = aws.s3.BucketPolicy(
            f"{name}-policy",
            bucket=bucket.id,
            policy=bucket.arn.apply(logs_policy if key_arn is None else tls_policy),
            # S3 refuses two changes of a bucket's access at once.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[block]),
        )
        return bucket, policy, encryption


def _expiry(days: int, *, prefix: str = "") -> aws.s3.BucketLifecycleConfigurationRuleArgs:
    return aws.s3.BucketLifecycleConfigurationRuleArgs(
        id="expire",
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=prefix),
        expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
    )


def tls_policy(bucket_arn: str) -> str:
    """Return the policy of a bucket that is reached by TLS alone."""
    return _policy([_tls_statement(bucket_arn)])


def logs_policy(bucket_arn: str) -> str:
    """Return the policy of the bucket into which S3 itself writes access logs."""
    writes: dict[str, object] = {
        "Sid": "AccessLogs",
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"{bucket_arn}/*",
    }
    return _policy([_tls_statement(bucket_arn), writes])


def _tls_statement(bucket_arn: str) -> dict[str, object]:
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": "s3:*",
        "Resource": [bucket_arn, f"{bucket_arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _policy(statements: list[dict[str, object]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
