"""ECR: a repository for each of the project's images."""

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from mlops_infra.aws.account import Account

_KEPT_IMAGES = 20


@dataclass(frozen=True, kw_only=True)
class RegistriesArgs:
    """What the repositories need.

    Attributes:
        account: where they are.
        images: names of the project's images.
        key_arn: key that encrypts them.
        ephemeral: whether deletion may take the images along.
    """

    account: Account
    images: tuple[str, ...]
    key_arn: pulumi.Output[str]
    ephemeral: bool


class Registries(pulumi.ComponentResource):
    """A repository for each image.

    Attributes:
        urls: address of each image's repository, by the image's name.
    """

    urls: dict[str, pulumi.Output[str]]

    def __init__(
        self, name: str, args: RegistriesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        options = pulumi.ResourceOptions.merge(args.account.options(), opts)
        super().__init__("mlops:infra:AwsRegistries", name, None, options)
        child = pulumi.ResourceOptions(parent=self)
        self.urls = {}
        for image in args.images:
            repository = aws.ecr.Repository(
                f"{name}-{image}",
                name=f"mlops-{args.account.stack}/{image}",
                # A tag is a hash of what the image is made of: it never moves.
                image_tag_mutability="IMMUTABLE",
                image_scanning_configuration=aws.ecr.RepositoryImageScanningConfigurationArgs(
                    scan_on_push=True
                ),
                encryption_configurations=[
                    aws.ecr.RepositoryEncryptionConfigurationArgs(
                        encryption_type="KMS", kms_key=args.key_arn
                    )
                ],
                force_delete=args.ephemeral,
                opts=child,
            )
            aws.ecr.LifecyclePolicy(
                f"{name}-{image}", repository=repository.name, policy=_lifecycle(), opts=child
            )
            self.urls[image] = repository.repository_url
        self.register_outputs({"urls": self.urls})


def _lifecycle() -> str:
    rule = {
        "rulePriority": 1,
        "description": "keep the newest images",
        "selection": {
            "tagStatus": "any",
            "countType": "imageCountMoreThan",
            "countNumber": _KEPT_IMAGES,
        },
        "action": {"type": "expire"},
    }
    return json.dumps({"rules": [rule]})
