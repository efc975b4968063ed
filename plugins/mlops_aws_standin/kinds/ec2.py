"""Networks: VPC, subnets, routes, gateways, endpoints, security groups, launch templates."""

from collections.abc import Callable
from typing import Any

from mlops_aws_standin.clients import Aws
from mlops_aws_standin.kind import Create, Kind, Read, Values, boto_tags, from_boto_tags, given
from mlops_aws_standin.unchecked import UncheckedError


def _specification(kind: str, values: Values) -> list[dict[str, Any]]:
    tags = boto_tags(values)
    return [{"ResourceType": kind, "Tags": tags}] if tags else []


def _arn(aws: Aws, kind: str, identity: str) -> str:
    return f"arn:aws:ec2:{aws.region}:123456789012:{kind}/{identity}"


def _retag(aws: Aws, identity: str, values: Values) -> None:
    client = aws.client("ec2")
    found = client.describe_tags(Filters=[{"Name": "resource-id", "Values": [identity]}])["Tags"]
    wanted = boto_tags(values)
    gone = [{"Key": t["Key"]} for t in found if t["Key"] not in {w["Key"] for w in wanted}]
    if gone:
        client.delete_tags(Resources=[identity], Tags=gone)
    if wanted:
        client.create_tags(Resources=[identity], Tags=wanted)


def _delete_vpc(aws: Aws, identity: str, _state: Values) -> None:
    """Delete a VPC, unless somebody else's things are in it: moto would, AWS does not."""
    ec2 = aws.client("ec2")
    inside = [{"Name": "vpc-id", "Values": [identity]}]
    interfaces = ec2.describe_network_interfaces(Filters=inside)["NetworkInterfaces"]
    groups = ec2.describe_security_groups(Filters=inside)["SecurityGroups"]
    balancers = aws.client("elbv2").describe_load_balancers()["LoadBalancers"]
    found = [
        *(interface["NetworkInterfaceId"] for interface in interfaces),
        *(group["GroupId"] for group in groups if group["GroupName"] != "default"),
        *(b["LoadBalancerName"] for b in balancers if b.get("VpcId") == identity),
    ]
    if found:
        raise UncheckedError(
            f"DependencyViolation: the VPC {identity} has dependencies and cannot be deleted: "
            f"{', '.join(found)}"
        )
    ec2.delete_vpc(VpcId=identity)


def _update_vpc(aws: Aws, identity: str, values: Values) -> None:
    _retag(aws, identity, values)
    _set_dns(aws, identity, values)


def _set_dns(aws: Aws, identity: str, values: Values) -> None:
    client = aws.client("ec2")
    for key, option in (
        ("enableDnsSupport", "EnableDnsSupport"),
        ("enableDnsHostnames", "EnableDnsHostnames"),
    ):
        if key in values:
            client.modify_vpc_attribute(VpcId=identity, **{option: {"Value": values[key]}})


def _create_vpc(aws: Aws, values: Values) -> tuple[str, Values]:
    made = aws.client("ec2").create_vpc(
        CidrBlock=values["cidrBlock"], TagSpecifications=_specification("vpc", values)
    )["Vpc"]
    _set_dns(aws, made["VpcId"], values)
    return made["VpcId"], {"arn": _arn(aws, "vpc", made["VpcId"])}


def _create_subnet(aws: Aws, values: Values) -> tuple[str, Values]:
    made = aws.client("ec2").create_subnet(
        VpcId=values["vpcId"],
        CidrBlock=values["cidrBlock"],
        AvailabilityZone=values["availabilityZone"],
        TagSpecifications=_specification("subnet", values),
    )["Subnet"]
    aws.client("ec2").modify_subnet_attribute(
        SubnetId=made["SubnetId"],
        MapPublicIpOnLaunch={"Value": values.get("mapPublicIpOnLaunch", False)},
    )
    return made["SubnetId"], {"arn": _arn(aws, "subnet", made["SubnetId"])}


def _create_gateway(aws: Aws, values: Values) -> tuple[str, Values]:
    client = aws.client("ec2")
    made = client.create_internet_gateway(
        TagSpecifications=_specification("internet-gateway", values)
    )["InternetGateway"]["InternetGatewayId"]
    client.attach_internet_gateway(InternetGatewayId=made, VpcId=values["vpcId"])
    return made, {"arn": _arn(aws, "internet-gateway", made)}


def _delete_gateway(aws: Aws, identity: str, state: Values) -> None:
    aws.client("ec2").detach_internet_gateway(InternetGatewayId=identity, VpcId=state["vpcId"])
    aws.client("ec2").delete_internet_gateway(InternetGatewayId=identity)


def _create_table(aws: Aws, values: Values) -> tuple[str, Values]:
    made = aws.client("ec2").create_route_table(
        VpcId=values["vpcId"], TagSpecifications=_specification("route-table", values)
    )["RouteTable"]["RouteTableId"]
    return made, {"arn": _arn(aws, "route-table", made)}


def _create_route(aws: Aws, values: Values) -> tuple[str, Values]:
    aws.client("ec2").create_route(
        RouteTableId=values["routeTableId"],
        DestinationCidrBlock=values["destinationCidrBlock"],
        **given(GatewayId=values.get("gatewayId"), NatGatewayId=values.get("natGatewayId")),
    )
    return f"{values['routeTableId']}_{values['destinationCidrBlock']}", {}


def _read_route(aws: Aws, _identity: str, state: Values) -> Values | None:
    tables = aws.client("ec2").describe_route_tables(RouteTableIds=[state["routeTableId"]])
    for route in tables["RouteTables"][0]["Routes"]:
        if route.get("DestinationCidrBlock") == state["destinationCidrBlock"]:
            return given(gatewayId=route.get("GatewayId"), natGatewayId=route.get("NatGatewayId"))
    return None


def _delete_route(aws: Aws, _identity: str, state: Values) -> None:
    aws.client("ec2").delete_route(
        RouteTableId=state["routeTableId"], DestinationCidrBlock=state["destinationCidrBlock"]
    )


def _associate(aws: Aws, values: Values) -> tuple[str, Values]:
    made = aws.client("ec2").associate_route_table(
        RouteTableId=values["routeTableId"], SubnetId=values["subnetId"]
    )
    return made["AssociationId"], {}


def _read_association(aws: Aws, identity: str, state: Values) -> Values | None:
    tables = aws.client("ec2").describe_route_tables(RouteTableIds=[state["routeTableId"]])
    for found in tables["RouteTables"][0]["Associations"]:
        if found["RouteTableAssociationId"] == identity:
            return {"subnetId": found["SubnetId"]}
    return None


def _disassociate(aws: Aws, identity: str, _state: Values) -> None:
    aws.client("ec2").disassociate_route_table(AssociationId=identity)


def _create_address(aws: Aws, values: Values) -> tuple[str, Values]:
    made = aws.client("ec2").allocate_address(
        Domain=values.get("domain", "vpc"), TagSpecifications=_specification("elastic-ip", values)
    )
    return made["AllocationId"], {
        "allocationId": made["AllocationId"],
        "publicIp": made["PublicIp"],
    }


def _create_nat(aws: Aws, values: Values) -> tuple[str, Values]:
    made = aws.client("ec2").create_nat_gateway(
        SubnetId=values["subnetId"],
        AllocationId=values["allocationId"],
        TagSpecifications=_specification("natgateway", values),
    )["NatGateway"]
    return made["NatGatewayId"], {}


def _delete_nat(aws: Aws, identity: str, _state: Values) -> None:
    ec2 = aws.client("ec2")
    found = ec2.describe_nat_gateways(NatGatewayIds=[identity])["NatGateways"]
    ec2.delete_nat_gateway(NatGatewayId=identity)
    # At AWS its interfaces go with it; moto keeps them.
    for nat in found:
        for address in nat["NatGatewayAddresses"]:
            if interface := address.get("NetworkInterfaceId"):
                ec2.delete_network_interface(NetworkInterfaceId=interface)


def _read_nat(aws: Aws, identity: str, _state: Values) -> Values | None:
    found = aws.client("ec2").describe_nat_gateways(NatGatewayIds=[identity])["NatGateways"]
    alive = [nat for nat in found if nat["State"] not in ("deleted", "deleting")]
    return {"subnetId": alive[0]["SubnetId"]} if alive else None


def _create_endpoint(aws: Aws, values: Values) -> tuple[str, Values]:
    made = aws.client("ec2").create_vpc_endpoint(
        VpcId=values["vpcId"],
        ServiceName=values["serviceName"],
        VpcEndpointType=values.get("vpcEndpointType", "Gateway"),
        TagSpecifications=_specification("vpc-endpoint", values),
        **given(
            RouteTableIds=values.get("routeTableIds"),
            SubnetIds=values.get("subnetIds"),
            SecurityGroupIds=values.get("securityGroupIds"),
            PrivateDnsEnabled=values.get("privateDnsEnabled"),
            PolicyDocument=values.get("policy"),
        ),
    )["VpcEndpoint"]["VpcEndpointId"]
    return made, {"arn": _arn(aws, "vpc-endpoint", made)}


def _read_endpoint(aws: Aws, identity: str, _state: Values) -> Values | None:
    found = aws.client("ec2").describe_vpc_endpoints(VpcEndpointIds=[identity])["VpcEndpoints"]
    alive = [e for e in found if str(e["State"]).lower() not in ("deleted", "deleting")]
    return {"serviceName": alive[0]["ServiceName"]} if alive else None


def _create_group(aws: Aws, values: Values) -> tuple[str, Values]:
    made = aws.client("ec2").create_security_group(
        GroupName=values["name"],
        Description=values["description"],
        VpcId=values["vpcId"],
        TagSpecifications=_specification("security-group", values),
    )["GroupId"]
    return made, {"arn": _arn(aws, "security-group", made)}


def _permission(values: Values) -> dict[str, Any]:
    permission = given(
        IpProtocol=values["ipProtocol"],
        FromPort=values.get("fromPort"),
        ToPort=values.get("toPort"),
    )
    if values.get("cidrIpv4"):
        permission["IpRanges"] = [
            given(CidrIp=values["cidrIpv4"], Description=values.get("description"))
        ]
    if values.get("referencedSecurityGroupId"):
        permission["UserIdGroupPairs"] = [{"GroupId": values["referencedSecurityGroupId"]}]
    return permission


def _create_ingress(aws: Aws, values: Values) -> tuple[str, Values]:
    made = aws.client("ec2").authorize_security_group_ingress(
        GroupId=values["securityGroupId"],
        IpPermissions=[_permission(values)],
        TagSpecifications=_specification("security-group-rule", values),
    )["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    return made, {"securityGroupRuleId": made}


def _read_ingress(aws: Aws, identity: str, state: Values) -> Values | None:
    found = aws.client("ec2").describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": [state["securityGroupId"]]}]
    )["SecurityGroupRules"]
    for rule in found:
        if rule["SecurityGroupRuleId"] == identity:
            return given(cidrIpv4=rule.get("CidrIpv4"), ipProtocol=rule["IpProtocol"])
    return None


def _delete_ingress(aws: Aws, identity: str, state: Values) -> None:
    aws.client("ec2").revoke_security_group_ingress(
        GroupId=state["securityGroupId"], SecurityGroupRuleIds=[identity]
    )


def _template(values: Values) -> dict[str, Any]:
    disks = [
        given(
            DeviceName=mapping.get("deviceName"),
            Ebs=given(
                VolumeSize=mapping["ebs"].get("volumeSize"),
                VolumeType=mapping["ebs"].get("volumeType"),
                Encrypted=str(mapping["ebs"].get("encrypted", "")) == "true",
                DeleteOnTermination=str(mapping["ebs"].get("deleteOnTermination", "")) == "true",
                KmsKeyId=mapping["ebs"].get("kmsKeyId"),
            ),
        )
        for mapping in values.get("blockDeviceMappings", [])
    ]
    options = values.get("metadataOptions") or {}
    tags = [
        {
            "ResourceType": item["resourceType"],
            "Tags": [{"Key": k, "Value": v} for k, v in item["tags"].items()],
        }
        for item in values.get("tagSpecifications", [])
    ]
    return given(
        BlockDeviceMappings=disks or None,
        MetadataOptions=given(
            HttpEndpoint=options.get("httpEndpoint"),
            HttpTokens=options.get("httpTokens"),
            HttpPutResponseHopLimit=options.get("httpPutResponseHopLimit"),
        )
        or None,
        TagSpecifications=tags or None,
    )


def _create_template(aws: Aws, values: Values) -> tuple[str, Values]:
    made = aws.client("ec2").create_launch_template(
        LaunchTemplateName=values["name"],
        LaunchTemplateData=_template(values),
        TagSpecifications=_specification("launch-template", values),
    )["LaunchTemplate"]
    identity = made["LaunchTemplateId"]
    return identity, {
        "arn": _arn(aws, "launch-template", identity),
        "latestVersion": made["LatestVersionNumber"],
    }


def _reader(operation: str, key: str, argument: str, observe: Callable[[Any], Values]) -> Read:
    """Return a reader of what a `describe` call lists."""

    def read(aws: Aws, identity: str, _state: Values) -> Values | None:
        found = getattr(aws.client("ec2"), operation)(**{argument: [identity]})[key]
        if not found:
            return None
        tags = from_boto_tags(found[0].get("Tags", []))
        return {"tagsAll": tags, **observe(found[0])}

    return read


def _kind(
    create: Create, read: Read, operation: str, argument: str, computed: tuple[str, ...] = ("arn",)
) -> Kind:
    def delete(aws: Aws, identity: str, _state: Values) -> None:
        getattr(aws.client("ec2"), operation)(**{argument: identity})

    return Kind(create=create, read=read, delete=delete, update=_retag, computed=computed)


def _nothing(_found: Any) -> Values:
    return {}


def _read_vpc(aws: Aws, identity: str, state: Values) -> Values | None:
    client = aws.client("ec2")
    observed = _reader(
        "describe_vpcs", "Vpcs", "VpcIds", lambda found: {"cidrBlock": found["CidrBlock"]}
    )(aws, identity, state)
    if observed is None:
        return None
    for key, attribute, member in (
        ("enableDnsSupport", "enableDnsSupport", "EnableDnsSupport"),
        ("enableDnsHostnames", "enableDnsHostnames", "EnableDnsHostnames"),
    ):
        answer = client.describe_vpc_attribute(VpcId=identity, Attribute=attribute)
        observed[key] = answer[member]["Value"]
    return observed


KINDS: dict[str, Kind] = {
    "aws:ec2/vpc:Vpc": Kind(
        create=_create_vpc,
        read=_read_vpc,
        delete=_delete_vpc,
        update=_update_vpc,
        in_place=frozenset({"enableDnsSupport", "enableDnsHostnames"}),
        computed=("arn",),
    ),
    "aws:ec2/subnet:Subnet": _kind(
        _create_subnet,
        _reader(
            "describe_subnets",
            "Subnets",
            "SubnetIds",
            lambda found: {
                "cidrBlock": found["CidrBlock"],
                "availabilityZone": found["AvailabilityZone"],
                "mapPublicIpOnLaunch": found["MapPublicIpOnLaunch"],
            },
        ),
        "delete_subnet",
        "SubnetId",
    ),
    "aws:ec2/internetGateway:InternetGateway": Kind(
        create=_create_gateway,
        read=_reader(
            "describe_internet_gateways", "InternetGateways", "InternetGatewayIds", _nothing
        ),
        delete=_delete_gateway,
        update=_retag,
        computed=("arn",),
    ),
    "aws:ec2/routeTable:RouteTable": _kind(
        _create_table,
        _reader("describe_route_tables", "RouteTables", "RouteTableIds", _nothing),
        "delete_route_table",
        "RouteTableId",
    ),
    "aws:ec2/route:Route": Kind(create=_create_route, read=_read_route, delete=_delete_route),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": Kind(
        create=_associate, read=_read_association, delete=_disassociate
    ),
    "aws:ec2/eip:Eip": _kind(
        _create_address,
        _reader("describe_addresses", "Addresses", "AllocationIds", _nothing),
        "release_address",
        "AllocationId",
        computed=("allocationId", "publicIp"),
    ),
    "aws:ec2/natGateway:NatGateway": Kind(
        create=_create_nat, read=_read_nat, delete=_delete_nat, update=_retag
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": Kind(
        create=_create_endpoint,
        read=_read_endpoint,
        delete=lambda aws, identity, _: aws.client("ec2").delete_vpc_endpoints(
            VpcEndpointIds=[identity]
        ),
        update=_retag,
        computed=("arn",),
    ),
    "aws:ec2/securityGroup:SecurityGroup": Kind(
        create=_create_group,
        read=_reader(
            "describe_security_groups",
            "SecurityGroups",
            "GroupIds",
            lambda found: {"description": found["Description"]},
        ),
        delete=lambda aws, identity, _: aws.client("ec2").delete_security_group(GroupId=identity),
        update=_retag,
        computed=("arn",),
        name="name",
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": Kind(
        create=_create_ingress,
        read=_read_ingress,
        delete=_delete_ingress,
        update=_retag,
        computed=("securityGroupRuleId",),
    ),
    "aws:ec2/launchTemplate:LaunchTemplate": Kind(
        create=_create_template,
        read=_reader("describe_launch_templates", "LaunchTemplates", "LaunchTemplateIds", _nothing),
        delete=lambda aws, identity, _: aws.client("ec2").delete_launch_template(
            LaunchTemplateId=identity
        ),
        update=_retag,
        computed=("arn", "latestVersion"),
        name="name",
    ),
}
