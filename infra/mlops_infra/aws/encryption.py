"""The stack's own key, which encrypts buckets, Kubernetes Secrets, images and the database."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from mlops_infra.aws.account import Account


@dataclass(frozen=True, kw_only=True)
class EncryptionArgs:
    """What the key needs.

    Attributes:
        account: where it is.
        deletion_days: days between its deletion and its end, during which it can be restored. What
            it encrypts (versions of objects, snapshots) may be missed late: the longest that AWS
            offers.
        keep: whether the key stays when the stack goes, for a snapshot that is left behind.
    """

    account: Account
    deletion_days: int = 30
    keep: bool = False


class Encryption(pulumi.ComponentResource):
    """A key of the stack, rotated each year.

    Attributes:
        key_arn: its ARN.
        key: the key itself. Whatever it encrypts must depend on it, so that it goes last, and stays
            while anything else refuses to go.
    """

    key_arn: pulumi.Output[str]
    key: pulumi.Resource

    def __init__(
        self, name: str, args: EncryptionArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        options = pulumi.ResourceOptions.merge(args.account.options(), opts)
        super().__init__("mlops:infra:AwsEncryption", name, None, options)
        child = pulumi.ResourceOptions(parent=self)
        key = aws.kms.Key(
            f"{name}-key",
            description=f"MLOps platform, stack {args.account.stack}",
            enable_key_rotation=True,
            deletion_window_in_days=args.deletion_days,
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=args.keep),
        )
        aws.kms.Alias(
            f"{name}-alias",
            name=f"alias/mlops-{args.account.stack}",
            target_key_id=key.id,
            opts=child,
        )
        self.key_arn = key.arn
        self.key = key
        self.register_outputs({"key_arn": self.key_arn})
