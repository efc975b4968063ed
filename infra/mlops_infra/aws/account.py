"""The AWS provider of a stack, and the tags by which its resources are found again."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

TAG_PREFIX = "mlops-platform/"


@dataclass(frozen=True, kw_only=True)
class AccountArgs:
    """Where a stack's resources are, and whose they are.

    Attributes:
        number: the only account that credentials may lead to; empty for any.
        region: AWS region.
        stack: name of the stack.
        stack_id: its id.
        owner: who answers for it.
        expires: day after which it may be destroyed, as 2026-01-31, or `never`.
    """

    number: str
    region: str
    stack: str
    stack_id: str
    owner: str
    expires: str


def stack_tag(stack: str) -> tuple[str, str]:
    """Return the tag that tells a stack's resources from others."""
    return f"{TAG_PREFIX}stack", stack


def tags(args: AccountArgs) -> dict[str, str]:
    """Return the tags that every resource of a stack bears."""
    name, stack = stack_tag(args.stack)
    return {
        name: stack,
        f"{TAG_PREFIX}owner": args.owner,
        f"{TAG_PREFIX}expires": args.expires,
    }


class Account(pulumi.ComponentResource):
    """A region of an account.

    Attributes:
        provider: provider of every AWS resource; it tags what it makes.
        region: name of the region.
        stack: name of the stack.
        tags: what the provider tags with, for things that AWS itself makes on behalf of others.
    """

    provider: aws.Provider
    region: str
    stack: str
    tags: dict[str, str]

    def __init__(
        self, name: str, args: AccountArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mlops:infra:AwsAccount", name, None, opts)
        self.region = args.region
        self.stack = args.stack
        self.tags = tags(args)
        self.provider = aws.Provider(
            f"{name}-aws",
            region=args.region,
            allowed_account_ids=[args.number] if args.number else None,
            # The id is not among the tags that launch templates take: nodes would be replaced.
            default_tags=aws.ProviderDefaultTagsArgs(
                tags={**self.tags, f"{TAG_PREFIX}stack-id": args.stack_id}
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"region": self.region})

    @property
    def stack_tag(self) -> tuple[str, str]:
        """The tag that tells the stack's resources from others; it never changes."""
        return stack_tag(self.stack)

    def options(self) -> pulumi.ResourceOptions:
        """Return the options of a component whose children are AWS resources."""
        return pulumi.ResourceOptions(providers={"aws": self.provider})
