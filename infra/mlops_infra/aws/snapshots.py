"""Daily snapshots of the volumes that hold the platform's databases."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from mlops_infra.aws.account import Account
from mlops_infra.aws.eks_cluster import SNAPSHOT_TAG, trust

_POLICY = "arn:aws:iam::aws:policy/service-role/AWSDataLifecycleManagerServiceRole"


@dataclass(frozen=True, kw_only=True)
class SnapshotsArgs:
    """What the snapshots need.

    Attributes:
        account: where the volumes are.
        count: snapshots of each volume that are kept, one a day.
    """

    account: Account
    count: int


class Snapshots(pulumi.ComponentResource):
    """A policy of Data Lifecycle Manager; its snapshots stay when the stack goes."""

    def __init__(
        self, name: str, args: SnapshotsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        options = pulumi.ResourceOptions.merge(args.account.options(), opts)
        super().__init__("mlops:infra:AwsSnapshots", name, None, options)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            f"{name}-role", assume_role_policy=trust("dlm.amazonaws.com"), opts=child
        )
        attachment = aws.iam.RolePolicyAttachment(
            f"{name}-role", role=role.name, policy_arn=_POLICY, opts=child
        )
        details = aws.dlm.LifecyclePolicyPolicyDetailsArgs(
            resource_types=["VOLUME"],
            target_tags={SNAPSHOT_TAG: args.account.stack},
            schedules=[
                aws.dlm.LifecyclePolicyPolicyDetailsScheduleArgs(
                    name="daily",
                    copy_tags=True,
                    create_rule=aws.dlm.LifecyclePolicyPolicyDetailsScheduleCreateRuleArgs(
                        interval=24, interval_unit="HOURS", times="02:00"
                    ),
                    retain_rule=aws.dlm.LifecyclePolicyPolicyDetailsScheduleRetainRuleArgs(
                        count=args.count
                    ),
                )
            ],
        )
        aws.dlm.LifecyclePolicy(
            f"{name}-daily",
            description=f"Daily snapshots of the volumes of stack {args.account.stack}",
            execution_role_arn=role.arn,
            state="ENABLED",
            policy_details=details,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[attachment]),
        )
        self.register_outputs({})
