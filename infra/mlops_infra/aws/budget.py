"""An alarm before the stack costs more than its size should."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from mlops_infra.aws.account import TAG_PREFIX, Account

_WARN_PERCENT = 80
_EXCEED_PERCENT = 100


@dataclass(frozen=True, kw_only=True)
class BudgetArgs:
    """What the alarm needs.

    Attributes:
        account: whose spending counts, by the stack's tag.
        monthly_usd: spending of a month.
        email: who is told.
    """

    account: Account
    monthly_usd: int
    email: str


class Budget(pulumi.ComponentResource):
    """A budget with two alarms: what was spent, and what will have been by the month's end."""

    def __init__(
        self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        options = pulumi.ResourceOptions.merge(args.account.options(), opts)
        super().__init__("mlops:infra:AwsBudget", name, None, options)
        aws.budgets.Budget(
            f"{name}-month",
            name=f"mlops-{args.account.stack}",
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(args.monthly_usd),
            limit_unit="USD",
            cost_filters=[
                aws.budgets.BudgetCostFilterArgs(
                    name="TagKeyValue",
                    values=[f"user:{TAG_PREFIX}stack${args.account.stack}"],
                )
            ],
            notifications=[
                aws.budgets.BudgetNotificationArgs(
                    notification_type=kind,
                    comparison_operator="GREATER_THAN",
                    threshold=threshold,
                    threshold_type="PERCENTAGE",
                    subscriber_email_addresses=[args.email],
                )
                for kind, threshold in (
                    ("ACTUAL", _WARN_PERCENT),
                    ("FORECASTED", _EXCEED_PERCENT),
                )
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
