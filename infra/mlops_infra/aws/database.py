"""RDS for MySQL, instead of a database on a volume of the cluster."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from mlops_infra.aws.account import Account
from mlops_infra.aws.network import Network
from mlops_infra.aws.presets import Preset

_VERSION = "8.4"
_PORT = 3306


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """What the database needs.

    Attributes:
        account: where it is.
        network: its private subnets, and who may reach it.
        preset: its size.
        key_arn: key that encrypts it and its password.
    """

    account: Account
    network: Network
    preset: Preset
    key_arn: pulumi.Output[str]


class Database(pulumi.ComponentResource):
    """A MySQL server whose password AWS keeps and rotates.

    Attributes:
        address: its host name.
        secret_arn: ARN of the secret with its account's name and password, in Secrets Manager.
    """

    address: pulumi.Output[str]
    secret_arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        options = pulumi.ResourceOptions.merge(args.account.options(), opts)
        super().__init__("mlops:infra:AwsDatabase", name, None, options)
        child = pulumi.ResourceOptions(parent=self)
        preset = args.preset
        group = aws.ec2.SecurityGroup(
            f"{name}-access",
            description="MySQL from the VPC",
            vpc_id=args.network.vpc_id,
            opts=child,
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-access",
            security_group_id=group.id,
            description="MySQL from the VPC",
            ip_protocol="tcp",
            from_port=_PORT,
            to_port=_PORT,
            cidr_ipv4=args.network.cidr,
            opts=child,
        )
        subnets = aws.rds.SubnetGroup(
            f"{name}-subnets", subnet_ids=args.network.private_subnet_ids, opts=child
        )
        parameters = aws.rds.ParameterGroup(
            f"{name}-parameters",
            family=f"mysql{_VERSION}",
            parameters=[
                aws.rds.ParameterGroupParameterArgs(name="require_secure_transport", value="1")
            ],
            opts=child,
        )
        identifier = f"mlops-{args.account.stack}"
        server = aws.rds.Instance(
            f"{name}-server",
            identifier=identifier,
            engine="mysql",
            engine_version=_VERSION,
            instance_class=preset.database_class,
            allocated_storage=preset.database_gib,
            storage_type="gp3",
            storage_encrypted=True,
            kms_key_id=args.key_arn,
            db_name="mlops",
            username="mlops",
            manage_master_user_password=True,
            master_user_secret_kms_key_id=args.key_arn,
            db_subnet_group_name=subnets.name,
            parameter_group_name=parameters.name,
            vpc_security_group_ids=[group.id],
            publicly_accessible=False,
            multi_az=preset.database_multi_zone,
            backup_retention_period=preset.database_backup_days,
            copy_tags_to_snapshot=True,
            deletion_protection=preset.protect,
            # Asked by size and not by protection: what is destroyed is not protected any more.
            skip_final_snapshot=not preset.database_final_snapshot,
            final_snapshot_identifier=args.key_arn.apply(lambda arn: snapshot(identifier, arn))
            if preset.database_final_snapshot
            else None,
            opts=child,
        )
        self.address = server.address
        self.secret_arn = server.master_user_secrets.apply(
            lambda found: str(found[0].secret_arn) if found else ""
        )
        self.register_outputs({"address": self.address, "secretArn": self.secret_arn})


def snapshot(identifier: str, key_arn: str) -> str:
    """Return the name of the last snapshot: another one in each life of a stack, as its key is."""
    return f"{identifier}-final-{key_arn.rpartition('/')[2][:8]}"
