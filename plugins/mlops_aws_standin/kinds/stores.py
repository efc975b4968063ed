"""ECR repositories and RDS databases."""

import json

from mlops_aws_standin.clients import Aws
from mlops_aws_standin.kind import Kind, Values, boto_tags, from_boto_tags, given


def _create_repository(aws: Aws, values: Values) -> tuple[str, Values]:
    encryption = (values.get("encryptionConfigurations") or [{}])[0]
    scanning = (values.get("imageScanningConfiguration") or {}).get("scanOnPush", False)
    made = aws.client("ecr").create_repository(
        repositoryName=values["name"],
        tags=boto_tags(values),
        imageTagMutability=values.get("imageTagMutability", "MUTABLE"),
        imageScanningConfiguration={"scanOnPush": scanning},
        **given(
            encryptionConfiguration=given(
                encryptionType=encryption.get("encryptionType"), kmsKey=encryption.get("kmsKey")
            )
            or None
        ),
    )["repository"]
    return values["name"], {
        "arn": made["repositoryArn"],
        "repositoryUrl": made["repositoryUri"],
        "registryId": made["registryId"],
    }


def _update_repository(aws: Aws, name: str, values: Values) -> None:
    client = aws.client("ecr")
    scanning = (values.get("imageScanningConfiguration") or {}).get("scanOnPush", False)
    client.put_image_scanning_configuration(
        repositoryName=name, imageScanningConfiguration={"scanOnPush": scanning}
    )
    client.tag_resource(resourceArn=values["arn"], tags=boto_tags(values))


def _read_repository(aws: Aws, name: str, _state: Values) -> Values | None:
    client = aws.client("ecr")
    found = client.describe_repositories(repositoryNames=[name])["repositories"][0]
    tags = client.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"]
    return {
        "imageTagMutability": found["imageTagMutability"],
        "imageScanningConfiguration": {
            "scanOnPush": found["imageScanningConfiguration"]["scanOnPush"]
        },
        "tagsAll": from_boto_tags(tags),
    }


def _delete_repository(aws: Aws, name: str, state: Values) -> None:
    force = bool(state.get("forceDelete"))
    aws.client("ecr").delete_repository(repositoryName=name, force=force)


def _put_lifecycle(aws: Aws, _identity: str, values: Values) -> None:
    aws.client("ecr").put_lifecycle_policy(
        repositoryName=values["repository"], lifecyclePolicyText=values["policy"]
    )


def _create_lifecycle(aws: Aws, values: Values) -> tuple[str, Values]:
    _put_lifecycle(aws, "", values)
    return values["repository"], {}


def _read_lifecycle(aws: Aws, name: str, state: Values) -> Values | None:
    text = aws.client("ecr").get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"]
    same = json.loads(text) == json.loads(state["policy"])
    return {"policy": state["policy"] if same else text}


def _delete_lifecycle(aws: Aws, name: str, _state: Values) -> None:
    aws.client("ecr").delete_lifecycle_policy(repositoryName=name)


def _create_subnets(aws: Aws, values: Values) -> tuple[str, Values]:
    made = aws.client("rds").create_db_subnet_group(
        DBSubnetGroupName=values["name"],
        DBSubnetGroupDescription=values.get("description", "Managed by Pulumi"),
        SubnetIds=values["subnetIds"],
        Tags=boto_tags(values),
    )["DBSubnetGroup"]
    return values["name"], {"arn": made["DBSubnetGroupArn"]}


def _read_subnets(aws: Aws, name: str, _state: Values) -> Values | None:
    found = aws.client("rds").describe_db_subnet_groups(DBSubnetGroupName=name)
    return {"description": found["DBSubnetGroups"][0]["DBSubnetGroupDescription"]}


def _create_parameters(aws: Aws, values: Values) -> tuple[str, Values]:
    client = aws.client("rds")
    made = client.create_db_parameter_group(
        DBParameterGroupName=values["name"],
        DBParameterGroupFamily=values["family"],
        Description=values.get("description", "Managed by Pulumi"),
        Tags=boto_tags(values),
    )["DBParameterGroup"]
    parameters = [
        {
            "ParameterName": p["name"],
            "ParameterValue": p["value"],
            "ApplyMethod": p.get("applyMethod", "immediate"),
        }
        for p in values.get("parameters", [])
    ]
    if parameters:
        client.modify_db_parameter_group(DBParameterGroupName=values["name"], Parameters=parameters)
    return values["name"], {"arn": made["DBParameterGroupArn"]}


def _read_parameters(aws: Aws, name: str, _state: Values) -> Values | None:
    found = aws.client("rds").describe_db_parameter_groups(DBParameterGroupName=name)
    groups = found["DBParameterGroups"]
    return {"family": groups[0]["DBParameterGroupFamily"]} if groups else None


def _create_database(aws: Aws, values: Values) -> tuple[str, Values]:
    made = aws.client("rds").create_db_instance(
        DBInstanceIdentifier=values["identifier"],
        DBInstanceClass=values["instanceClass"],
        Tags=boto_tags(values),
        **given(
            Engine=values.get("engine"),
            EngineVersion=values.get("engineVersion"),
            AllocatedStorage=values.get("allocatedStorage"),
            StorageType=values.get("storageType"),
            StorageEncrypted=values.get("storageEncrypted"),
            KmsKeyId=values.get("kmsKeyId"),
            DBName=values.get("dbName"),
            MasterUsername=values.get("username"),
            ManageMasterUserPassword=values.get("manageMasterUserPassword"),
            DBSubnetGroupName=values.get("dbSubnetGroupName"),
            DBParameterGroupName=values.get("parameterGroupName"),
            VpcSecurityGroupIds=values.get("vpcSecurityGroupIds"),
            PubliclyAccessible=values.get("publiclyAccessible"),
            MultiAZ=values.get("multiAz"),
            BackupRetentionPeriod=values.get("backupRetentionPeriod"),
            DeletionProtection=values.get("deletionProtection"),
            CopyTagsToSnapshot=values.get("copyTagsToSnapshot"),
        ),
    )["DBInstance"]
    return values["identifier"], {
        "arn": made["DBInstanceArn"],
        "address": made["Endpoint"]["Address"],
        "port": made["Endpoint"]["Port"],
        "masterUserSecrets": [
            {"secretArn": kept["SecretArn"]} for kept in [made.get("MasterUserSecret")] if kept
        ],
    }


def _read_database(aws: Aws, name: str, _state: Values) -> Values | None:
    found = aws.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    return {
        "instanceClass": found["DBInstanceClass"],
        "publiclyAccessible": found["PubliclyAccessible"],
        "tagsAll": from_boto_tags(found.get("TagList", [])),
    }


def _update_database(aws: Aws, name: str, values: Values) -> None:
    client = aws.client("rds")
    client.modify_db_instance(
        DBInstanceIdentifier=name,
        ApplyImmediately=True,
        **given(
            DBInstanceClass=values.get("instanceClass"),
            AllocatedStorage=values.get("allocatedStorage"),
            BackupRetentionPeriod=values.get("backupRetentionPeriod"),
            MultiAZ=values.get("multiAz"),
            DeletionProtection=values.get("deletionProtection"),
        ),
    )
    _retag(aws, name, values)


def _delete_database(aws: Aws, name: str, state: Values) -> None:
    skip = bool(state.get("skipFinalSnapshot"))
    final = {} if skip else {"FinalDBSnapshotIdentifier": state["finalSnapshotIdentifier"]}
    aws.client("rds").delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=skip, **final)


def _retag(aws: Aws, _identity: str, values: Values) -> None:
    aws.client("rds").add_tags_to_resource(ResourceName=values["arn"], Tags=boto_tags(values))


KINDS: dict[str, Kind] = {
    "aws:ecr/repository:Repository": Kind(
        create=_create_repository,
        read=_read_repository,
        delete=_delete_repository,
        update=_update_repository,
        in_place=frozenset({"imageScanningConfiguration", "forceDelete"}),
        computed=("arn", "repositoryUrl", "registryId"),
        name="name",
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": Kind(
        create=_create_lifecycle,
        read=_read_lifecycle,
        delete=_delete_lifecycle,
        update=_put_lifecycle,
        in_place=frozenset({"policy"}),
    ),
    "aws:rds/subnetGroup:SubnetGroup": Kind(
        create=_create_subnets,
        read=_read_subnets,
        delete=lambda aws, name, _: aws.client("rds").delete_db_subnet_group(
            DBSubnetGroupName=name
        ),
        update=_retag,
        computed=("arn",),
        name="name",
    ),
    "aws:rds/parameterGroup:ParameterGroup": Kind(
        create=_create_parameters,
        read=_read_parameters,
        delete=lambda aws, name, _: aws.client("rds").delete_db_parameter_group(
            DBParameterGroupName=name
        ),
        update=_retag,
        computed=("arn",),
        name="name",
    ),
    "aws:rds/instance:Instance": Kind(
        create=_create_database,
        read=_read_database,
        delete=_delete_database,
        update=_update_database,
        in_place=frozenset(
            {
                "instanceClass",
                "allocatedStorage",
                "backupRetentionPeriod",
                "multiAz",
                "deletionProtection",
                "skipFinalSnapshot",
            }
        ),
        computed=("arn", "address", "port", "masterUserSecrets"),
        name="identifier",
    ),
}
