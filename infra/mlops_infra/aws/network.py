"""A VPC over three zones: nodes in private subnets, and one NAT gateway or none."""

import ipaddress
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from mlops_infra.aws.account import Account
from mlops_infra.aws.presets import Egress

_ZONES = ("a", "b", "c")
# What nodes, Pods and AWS's controllers call, when nothing outside AWS is reached.
_SERVICES = ("ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "elasticloadbalancing", "kms", "logs",
             "sts")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """What the network needs.

    Attributes:
        account: where it is.
        cidr: network of /16.
        egress: `nat` for one NAT gateway, `endpoints` for none.
        cluster_name: the EKS cluster whose load balancers find the subnets by tag.
    """

    account: Account
    cidr: str
    egress: Egress
    cluster_name: str


class Network(pulumi.ComponentResource):
    """The VPC of a stack.

    Attributes:
        vpc_id: id of the VPC.
        private_subnet_ids: one per zone, for nodes and the database.
        cidr: network of the VPC.
        ready: what must exist before a node can join the cluster.
    """

    vpc_id: pulumi.Output[str]
    private_subnet_ids: list[pulumi.Output[str]]
    cidr: str
    ready: list[pulumi.Resource]

    def __init__(
        self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        options = pulumi.ResourceOptions.merge(args.account.options(), opts)
        super().__init__("mlops:infra:AwsNetwork", name, None, options)
        self._prefix = name
        self._child = pulumi.ResourceOptions(parent=self)
        self.cidr = args.cidr
        self._vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=args.cidr,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags={"Name": args.cluster_name},
            opts=self._child,
        )
        self.vpc_id = self._vpc.id
        # Twenty bits a subnet: the VPC CNI gives each Pod an address of its own.
        blocks = list(ipaddress.IPv4Network(args.cidr).subnets(new_prefix=20))
        private = [
            self._subnet(args, zone, str(block), public=False)
            for zone, block in zip(_ZONES, blocks, strict=False)
        ]
        self.private_subnet_ids = [subnet.id for subnet in private]
        table = aws.ec2.RouteTable(f"{name}-private", vpc_id=self.vpc_id, opts=self._child)
        associations = [
            aws.ec2.RouteTableAssociation(
                f"{name}-private-{zone}",
                subnet_id=subnet.id,
                route_table_id=table.id,
                opts=self._child,
            )
            for zone, subnet in zip(_ZONES, private, strict=True)
        ]
        # S3 never goes through a NAT gateway, which bills each gigabyte.
        s3 = aws.ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=self.vpc_id,
            service_name=f"com.amazonaws.{args.account.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id],
            opts=self._child,
        )
        self.ready = [*associations, s3]
        if args.egress == "nat":
            blocks_public = blocks[len(_ZONES) : 2 * len(_ZONES)]
            self.ready += self._nat(args, [str(block) for block in blocks_public], table)
        else:
            self.ready += self._endpoints(args)
        self.register_outputs(
            {"vpc_id": self.vpc_id, "private_subnet_ids": self.private_subnet_ids}
        )

    def _subnet(self, args: NetworkArgs, zone: str, block: str, *, public: bool) -> aws.ec2.Subnet:
        use = "public" if public else "private"
        role = "elb" if public else "internal-elb"
        return aws.ec2.Subnet(
            f"{self._prefix}-{use}-{zone}",
            vpc_id=self.vpc_id,
            availability_zone=f"{args.account.region}{zone}",
            cidr_block=block,
            # Even in a public subnet an address is asked for, never given by default.
            map_public_ip_on_launch=False,
            tags={
                "Name": f"{args.cluster_name}-{use}-{zone}",
                f"kubernetes.io/role/{role}": "1",
                f"kubernetes.io/cluster/{args.cluster_name}": "shared",
            },
            opts=self._child,
        )

    def _nat(
        self, args: NetworkArgs, blocks: list[str], private: aws.ec2.RouteTable
    ) -> list[pulumi.Resource]:
        gateway = aws.ec2.InternetGateway(
            f"{self._prefix}-internet", vpc_id=self.vpc_id, opts=self._child
        )
        table = aws.ec2.RouteTable(f"{self._prefix}-public", vpc_id=self.vpc_id, opts=self._child)
        aws.ec2.Route(
            f"{self._prefix}-public-internet",
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
            opts=self._child,
        )
        public = [
            self._subnet(args, zone, block, public=True)
            for zone, block in zip(_ZONES, blocks, strict=True)
        ]
        for zone, subnet in zip(_ZONES, public, strict=True):
            aws.ec2.RouteTableAssociation(
                f"{self._prefix}-public-{zone}",
                subnet_id=subnet.id,
                route_table_id=table.id,
                opts=self._child,
            )
        address = aws.ec2.Eip(f"{self._prefix}-nat", domain="vpc", opts=self._child)
        nat = aws.ec2.NatGateway(
            f"{self._prefix}-nat",
            allocation_id=address.id,
            subnet_id=public[0].id,
            # A NAT gateway cannot start in a VPC that has no way out.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[gateway]),
        )
        return [
            aws.ec2.Route(
                f"{self._prefix}-private-nat",
                route_table_id=private.id,
                destination_cidr_block="0.0.0.0/0",
                nat_gateway_id=nat.id,
                opts=self._child,
            )
        ]

    def _endpoints(self, args: NetworkArgs) -> list[pulumi.Resource]:
        group = aws.ec2.SecurityGroup(
            f"{self._prefix}-endpoints",
            description="HTTPS from the VPC to the endpoints of AWS services",
            vpc_id=self.vpc_id,
            opts=self._child,
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{self._prefix}-endpoints-https",
            security_group_id=group.id,
            description="HTTPS from the VPC",
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            cidr_ipv4=args.cidr,
            opts=self._child,
        )
        return [
            aws.ec2.VpcEndpoint(
                f"{self._prefix}-{service.replace('.', '-')}",
                vpc_id=self.vpc_id,
                service_name=f"com.amazonaws.{args.account.region}.{service}",
                vpc_endpoint_type="Interface",
                subnet_ids=self.private_subnet_ids,
                security_group_ids=[group.id],
                private_dns_enabled=True,
                opts=self._child,
            )
            for service in _SERVICES
        ]
