"""What is neither network nor data: keys, roles, log groups, budgets, policies of snapshots."""

import json
import uuid
from typing import Final

from mlops_aws_standin import unchecked
from mlops_aws_standin.clients import Aws
from mlops_aws_standin.kind import Kind, Values, boto_tags, from_boto_tags, given
from mlops_aws_standin.unchecked import UncheckedError

_ACCOUNT = "123456789012"
_SNAPSHOT_POLICY: Final = "snapshot-policy"
_SNAPSHOTS: Final = 1000


def _create_key(aws: Aws, values: Values) -> tuple[str, Values]:
    client = aws.client("kms")
    made = client.create_key(
        Description=values.get("description", ""),
        Tags=[{"TagKey": t["Key"], "TagValue": t["Value"]} for t in boto_tags(values)],
        **given(Policy=values.get("policy")),
    )["KeyMetadata"]
    _set_rotation(aws, made["KeyId"], values)
    return made["KeyId"], {"arn": made["Arn"], "keyId": made["KeyId"]}


def _set_rotation(aws: Aws, identity: str, values: Values) -> None:
    client = aws.client("kms")
    rotate = values.get("enableKeyRotation", False)
    (client.enable_key_rotation if rotate else client.disable_key_rotation)(KeyId=identity)


def _update_key(aws: Aws, identity: str, values: Values) -> None:
    _set_rotation(aws, identity, values)
    tags = [{"TagKey": t["Key"], "TagValue": t["Value"]} for t in boto_tags(values)]
    aws.client("kms").tag_resource(KeyId=identity, Tags=tags)


def _read_key(aws: Aws, identity: str, _state: Values) -> Values | None:
    client = aws.client("kms")
    found = client.describe_key(KeyId=identity)["KeyMetadata"]
    if found["KeyState"] == "PendingDeletion":
        return None
    rotation = client.get_key_rotation_status(KeyId=identity)["KeyRotationEnabled"]
    return {"description": found["Description"], "enableKeyRotation": rotation}


def _delete_key(aws: Aws, identity: str, state: Values) -> None:
    days = int(state.get("deletionWindowInDays", 30))
    aws.client("kms").schedule_key_deletion(KeyId=identity, PendingWindowInDays=days)


def _create_alias(aws: Aws, values: Values) -> tuple[str, Values]:
    aws.client("kms").create_alias(AliasName=values["name"], TargetKeyId=values["targetKeyId"])
    return values["name"], {"arn": f"arn:aws:kms:{aws.region}:{_ACCOUNT}:{values['name']}"}


def _read_alias(aws: Aws, identity: str, _state: Values) -> Values | None:
    for page in aws.client("kms").get_paginator("list_aliases").paginate():
        for alias in page["Aliases"]:
            if alias["AliasName"] == identity:
                return {"targetKeyId": alias.get("TargetKeyId")}
    return None


def _create_role(aws: Aws, values: Values) -> tuple[str, Values]:
    made = aws.client("iam").create_role(
        RoleName=values["name"],
        AssumeRolePolicyDocument=values["assumeRolePolicy"],
        Tags=boto_tags(values),
        **given(
            Description=values.get("description"),
            MaxSessionDuration=values.get("maxSessionDuration"),
            PermissionsBoundary=values.get("permissionsBoundary"),
        ),
    )["Role"]
    return values["name"], {"arn": made["Arn"], "uniqueId": made["RoleId"]}


def _update_role(aws: Aws, name: str, values: Values) -> None:
    client = aws.client("iam")
    client.update_assume_role_policy(RoleName=name, PolicyDocument=values["assumeRolePolicy"])
    client.tag_role(RoleName=name, Tags=boto_tags(values))


def _read_role(aws: Aws, name: str, state: Values) -> Values | None:
    found = aws.client("iam").get_role(RoleName=name)["Role"]
    trust = found["AssumeRolePolicyDocument"]
    same = trust == json.loads(state["assumeRolePolicy"])
    return {
        "assumeRolePolicy": state["assumeRolePolicy"] if same else json.dumps(trust),
        "tagsAll": from_boto_tags(found.get("Tags", [])),
    }


def _put_policy(aws: Aws, _identity: str, values: Values) -> None:
    json.loads(values["policy"])
    aws.client("iam").put_role_policy(
        RoleName=values["role"], PolicyName=values["name"], PolicyDocument=values["policy"]
    )


def _create_policy(aws: Aws, values: Values) -> tuple[str, Values]:
    _put_policy(aws, "", values)
    return f"{values['role']}:{values['name']}", {}


def _read_policy(aws: Aws, _identity: str, state: Values) -> Values | None:
    found = aws.client("iam").get_role_policy(RoleName=state["role"], PolicyName=state["name"])
    same = found["PolicyDocument"] == json.loads(state["policy"])
    return {"policy": state["policy"] if same else json.dumps(found["PolicyDocument"])}


def _delete_policy(aws: Aws, _identity: str, state: Values) -> None:
    aws.client("iam").delete_role_policy(RoleName=state["role"], PolicyName=state["name"])


def _attach(aws: Aws, values: Values) -> tuple[str, Values]:
    aws.client("iam").attach_role_policy(RoleName=values["role"], PolicyArn=values["policyArn"])
    return f"{values['role']}-{values['policyArn']}", {}


def _read_attachment(aws: Aws, _identity: str, state: Values) -> Values | None:
    found = aws.client("iam").list_attached_role_policies(RoleName=state["role"])
    held = {policy["PolicyArn"] for policy in found["AttachedPolicies"]}
    return {} if state["policyArn"] in held else None


def _detach(aws: Aws, _identity: str, state: Values) -> None:
    aws.client("iam").detach_role_policy(RoleName=state["role"], PolicyArn=state["policyArn"])


def _create_log_group(aws: Aws, values: Values) -> tuple[str, Values]:
    name = values["name"]
    aws.client("logs").create_log_group(logGroupName=name, tags=values.get("tagsAll") or {})
    _set_retention(aws, name, values)
    return name, {"arn": f"arn:aws:logs:{aws.region}:{_ACCOUNT}:log-group:{name}"}


def _set_retention(aws: Aws, name: str, values: Values) -> None:
    client = aws.client("logs")
    if values.get("retentionInDays"):
        client.put_retention_policy(logGroupName=name, retentionInDays=values["retentionInDays"])
    else:
        client.delete_retention_policy(logGroupName=name)


def _update_log_group(aws: Aws, name: str, values: Values) -> None:
    _set_retention(aws, name, values)
    aws.client("logs").tag_log_group(logGroupName=name, tags=values.get("tagsAll") or {})


def _read_log_group(aws: Aws, name: str, _state: Values) -> Values | None:
    found = aws.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    exact = [group for group in found if group["logGroupName"] == name]
    return {"retentionInDays": exact[0].get("retentionInDays")} if exact else None


def _create_budget(aws: Aws, values: Values) -> tuple[str, Values]:
    alarms = [
        {
            "Notification": {
                "NotificationType": alarm["notificationType"],
                "ComparisonOperator": alarm["comparisonOperator"],
                "Threshold": alarm["threshold"],
                "ThresholdType": alarm["thresholdType"],
            },
            "Subscribers": [
                {"SubscriptionType": "EMAIL", "Address": address}
                for address in alarm.get("subscriberEmailAddresses", [])
            ],
        }
        for alarm in values.get("notifications", [])
    ]
    aws.client("budgets").create_budget(
        AccountId=_ACCOUNT,
        Budget={
            "BudgetName": values["name"],
            "BudgetType": values["budgetType"],
            "TimeUnit": values["timeUnit"],
            "BudgetLimit": {"Amount": values["limitAmount"], "Unit": values["limitUnit"]},
            "CostFilters": {f["name"]: f["values"] for f in values.get("costFilters", [])},
        },
        NotificationsWithSubscribers=alarms,
    )
    return f"{_ACCOUNT}:{values['name']}", {"accountId": _ACCOUNT}


def _read_budget(aws: Aws, identity: str, _state: Values) -> Values | None:
    name = identity.partition(":")[2]
    aws.client("budgets").describe_budget(AccountId=_ACCOUNT, BudgetName=name)
    return {}


def _delete_budget(aws: Aws, identity: str, _state: Values) -> None:
    name = identity.partition(":")[2]
    aws.client("budgets").delete_budget(AccountId=_ACCOUNT, BudgetName=name)


def _snapshots_as_aws_takes_them(aws: Aws, values: Values) -> None:
    role = aws.client("iam").get_role(RoleName=values["executionRoleArn"].rpartition("/")[2])
    if "dlm.amazonaws.com" not in str(role["Role"]["AssumeRolePolicyDocument"]):
        raise UncheckedError(f"{values['executionRoleArn']} does not trust dlm.amazonaws.com")
    details = values["policyDetails"]
    if not details.get("targetTags") or not details.get("schedules"):
        raise UncheckedError("a policy of snapshots needs target tags and a schedule")
    for schedule in details["schedules"]:
        if not 1 <= schedule["retainRule"]["count"] <= _SNAPSHOTS:
            raise UncheckedError(f"a schedule keeps 1 to {_SNAPSHOTS} snapshots")


def _create_snapshots(aws: Aws, values: Values) -> tuple[str, Values]:
    _snapshots_as_aws_takes_them(aws, values)
    identity = f"policy-{uuid.uuid4().hex[:17]}"
    unchecked.put(_SNAPSHOT_POLICY, identity, values, new=True)
    return identity, {"arn": f"arn:aws:dlm:{aws.region}:{_ACCOUNT}:policy/{identity}"}


def _update_snapshots(aws: Aws, identity: str, values: Values) -> None:
    _snapshots_as_aws_takes_them(aws, values)
    unchecked.put(_SNAPSHOT_POLICY, identity, values, new=False)


KINDS: dict[str, Kind] = {
    # Moto has no Data Lifecycle Manager.
    "aws:dlm/lifecyclePolicy:LifecyclePolicy": Kind(
        create=_create_snapshots,
        read=lambda _aws, identity, _state: unchecked.entries(_SNAPSHOT_POLICY).get(identity),
        delete=lambda _aws, identity, _state: unchecked.remove(_SNAPSHOT_POLICY, identity),
        update=_update_snapshots,
        in_place=frozenset({"description", "executionRoleArn", "policyDetails", "state"}),
        computed=("arn",),
        checked=False,
    ),
    "aws:kms/key:Key": Kind(
        create=_create_key,
        read=_read_key,
        delete=_delete_key,
        update=_update_key,
        in_place=frozenset({"enableKeyRotation", "deletionWindowInDays"}),
        computed=("arn", "keyId"),
    ),
    "aws:kms/alias:Alias": Kind(
        create=_create_alias,
        read=_read_alias,
        delete=lambda aws, identity, _: aws.client("kms").delete_alias(AliasName=identity),
        computed=("arn",),
    ),
    "aws:iam/role:Role": Kind(
        create=_create_role,
        read=_read_role,
        delete=lambda aws, name, _: aws.client("iam").delete_role(RoleName=name),
        update=_update_role,
        in_place=frozenset({"assumeRolePolicy"}),
        computed=("arn", "uniqueId"),
        name="name",
    ),
    "aws:iam/rolePolicy:RolePolicy": Kind(
        create=_create_policy,
        read=_read_policy,
        delete=_delete_policy,
        update=_put_policy,
        in_place=frozenset({"policy"}),
        name="name",
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Kind(
        create=_attach, read=_read_attachment, delete=_detach
    ),
    "aws:cloudwatch/logGroup:LogGroup": Kind(
        create=_create_log_group,
        read=_read_log_group,
        delete=lambda aws, name, _: aws.client("logs").delete_log_group(logGroupName=name),
        update=_update_log_group,
        in_place=frozenset({"retentionInDays"}),
        computed=("arn",),
        name="name",
    ),
    "aws:budgets/budget:Budget": Kind(
        create=_create_budget,
        read=_read_budget,
        delete=_delete_budget,
        computed=("accountId",),
        name="name",
    ),
}
