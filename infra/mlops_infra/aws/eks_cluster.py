"""EKS: the control plane, its nodes, its add-ons, and who may administer it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from mlops_infra.aws.account import TAG_PREFIX, Account
from mlops_infra.aws.network import Network
from mlops_infra.aws.presets import NodeGroupSize, Preset
from mlops_infra.cluster import ClusterAccess, VolumeClass
from mlops_toolchain import kubernetes

_LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")
_NODE_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly")
_ADMINISTRATOR = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"

SNAPSHOT_TAG = f"{TAG_PREFIX}snapshots"
"""Tag of the volumes that claims make; disks of nodes, which hold no data, lack it."""


@dataclass(frozen=True, kw_only=True)
class EksClusterArgs:
    """What the cluster needs.

    Attributes:
        account: where it is.
        network: its subnets.
        cluster_name: its name.
        version: Kubernetes version, as 1.34; None for that which the cluster has.
        preset: sizes of its node groups, and how long logs are kept.
        key_arn: key that encrypts Kubernetes Secrets.
        api_cidrs: networks that reach the API from the internet; none for the VPC alone.
        administrators: ARNs of roles that administer it, beside its creator.
        addon_versions: version of each add-on that is pinned; the others have EKS's default of the
            day on which they were made.
        node_address: address at which this machine reaches NodePorts.
    """

    account: Account
    network: Network
    cluster_name: str
    version: str | None
    preset: Preset
    key_arn: pulumi.Output[str]
    api_cidrs: tuple[str, ...]
    administrators: tuple[str, ...]
    addon_versions: Mapping[str, str]
    node_address: str


class EksCluster(pulumi.ComponentResource):
    """A cluster of EKS with private nodes.

    Attributes:
        name: its name, known once it exists.
        kubeconfig: text of a kubeconfig that asks the `aws` program for tokens.
        ready: nodes and add-ons, without which no Pod works.
    """

    name: pulumi.Output[str]
    kubeconfig: pulumi.Output[str]
    ready: tuple[pulumi.Resource, ...]

    def __init__(
        self, name: str, args: EksClusterArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        options = pulumi.ResourceOptions.merge(args.account.options(), opts)
        super().__init__("mlops:infra:EksCluster", name, None, options)
        self._args = args
        self._prefix = name
        self._child = pulumi.ResourceOptions(parent=self)
        self._cluster = self._control_plane()
        self.name = self._cluster.name
        self._administrators()
        # Nodes get their addresses from the CNI; without it they never become ready.
        network: list[pulumi.Resource] = [self._addon(addon) for addon in ("vpc-cni", "kube-proxy")]
        groups = self._node_groups(network)
        pod_identity = self._addon("eks-pod-identity-agent")
        names = self._addon("coredns", after=groups)
        storage = self._storage(after=[*groups, pod_identity])
        self.ready = (*groups, pod_identity, names, storage)
        self.kubeconfig = pulumi.Output.all(
            self._cluster.name,
            self._cluster.endpoint,
            self._cluster.certificate_authority.data,
            *[group.id for group in groups],
        ).apply(lambda v: kubeconfig(v[0], v[1], v[2], region=args.account.region))
        self.register_outputs({"name": self.name, "kubeconfig": self.kubeconfig})

    def access(self, ready: tuple[pulumi.Resource, ...], *, keep_volumes: bool) -> ClusterAccess:
        """Return what `Cluster` needs.

        The objects are deleted one by one: load balancers and volumes go with their Services and
        claims, and would stay behind if the cluster went first.

        Args:
            ready: what comes before every object in the cluster, and goes after it.
            keep_volumes: whether a volume stays when its claim is deleted.
        """
        key, value = self._args.account.stack_tag
        return ClusterAccess(
            kubeconfig=pulumi.Output.secret(self.kubeconfig),
            node_address=pulumi.Output.from_input(self._args.node_address),
            context=None,
            owned=None,
            ready=ready,
            # EKS brings a driver for volumes, but no class that uses it.
            volumes=VolumeClass(
                name="mlops-gp3",
                provisioner="ebs.csi.aws.com",
                parameters={
                    "type": "gp3",
                    "encrypted": "true",
                    # By this tag the volumes are found again when the cluster is gone. The others
                    # change in a stack's life, and a class's parameters do not.
                    "tagSpecification_1": f"{key}={value}",
                    "tagSpecification_2": f"{SNAPSHOT_TAG}={value}",
                },
                keep=keep_volumes,
            ),
        )

    def _control_plane(self) -> aws.eks.Cluster:
        args, child = self._args, self._child
        role = aws.iam.Role(
            f"{self._prefix}-control-plane",
            assume_role_policy=trust("eks.amazonaws.com"),
            opts=child,
        )
        policy = aws.iam.RolePolicyAttachment(
            f"{self._prefix}-control-plane",
            role=role.name,
            policy_arn="arn:aws:iam::aws:policy/AmazonEKSClusterPolicy",
            opts=child,
        )
        # EKS would make it without an end of its logs, and leave it behind.
        logs = aws.cloudwatch.LogGroup(
            f"{self._prefix}-logs",
            name=f"/aws/eks/{args.cluster_name}/cluster",
            retention_in_days=args.preset.log_days,
            opts=child,
        )
        public = bool(args.api_cidrs)
        return aws.eks.Cluster(
            f"{self._prefix}-control-plane",
            name=args.cluster_name,
            role_arn=role.arn,
            version=args.version or kubernetes.EKS_DEFAULT,
            vpc_config=aws.eks.ClusterVpcConfigArgs(
                subnet_ids=args.network.private_subnet_ids,
                endpoint_private_access=True,
                endpoint_public_access=public,
                public_access_cidrs=list(args.api_cidrs) if public else None,
            ),
            access_config=aws.eks.ClusterAccessConfigArgs(
                authentication_mode="API", bootstrap_cluster_creator_admin_permissions=True
            ),
            # The add-ons below are the managed ones.
            bootstrap_self_managed_addons=False,
            enabled_cluster_log_types=list(_LOGS),
            encryption_config=aws.eks.ClusterEncryptionConfigArgs(
                provider=aws.eks.ClusterEncryptionConfigProviderArgs(key_arn=args.key_arn),
                resources=["secrets"],
            ),
            deletion_protection=args.preset.protect,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[policy, logs],
                # A newer default is for new clusters: EKS takes one minor version at a time.
                ignore_changes=[] if args.version else ["version"],
            ),
        )

    def _administrators(self) -> None:
        for index, arn in enumerate(self._args.administrators):
            entry = aws.eks.AccessEntry(
                f"{self._prefix}-administrator-{index}",
                cluster_name=self.name,
                principal_arn=arn,
                opts=self._child,
            )
            aws.eks.AccessPolicyAssociation(
                f"{self._prefix}-administrator-{index}",
                cluster_name=self.name,
                principal_arn=entry.principal_arn,
                policy_arn=_ADMINISTRATOR,
                access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
                opts=self._child,
            )

    def _addon(self, addon: str, after: Sequence[pulumi.Resource] = ()) -> pulumi.Resource:
        return aws.eks.Addon(
            f"{self._prefix}-{addon}",
            cluster_name=self.name,
            addon_name=addon,
            addon_version=self._args.addon_versions.get(addon),
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="PRESERVE",
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )

    def _node_groups(self, after: list[pulumi.Resource]) -> list[aws.eks.NodeGroup]:
        preset = self._args.preset
        role = aws.iam.Role(
            f"{self._prefix}-nodes", assume_role_policy=trust("ec2.amazonaws.com"), opts=self._child
        )
        policies: list[pulumi.Resource] = [
            aws.iam.RolePolicyAttachment(
                f"{self._prefix}-nodes-{policy}",
                role=role.name,
                policy_arn=f"arn:aws:iam::aws:policy/{policy}",
                opts=self._child,
            )
            # The CNI assigns addresses with the node's role before any Pod has its own.
            for policy in (*_NODE_POLICIES, "AmazonEKS_CNI_Policy")
        ]
        ready = [*after, *policies, *self._args.network.ready]
        return [
            self._node_group("system", preset.system, role, ready),
            self._node_group("work", preset.work, role, ready, taint="mlops-platform/work"),
            self._node_group("gpu", preset.gpu, role, ready, taint="nvidia.com/gpu"),
        ]

    def _node_group(
        self,
        purpose: str,
        size: NodeGroupSize,
        role: aws.iam.Role,
        after: list[pulumi.Resource],
        taint: str = "",
    ) -> aws.eks.NodeGroup:
        gpu = purpose == "gpu"
        tagged = {**self._args.account.tags, "Name": f"{self._args.cluster_name}-{purpose}"}
        template = aws.ec2.LaunchTemplate(
            f"{self._prefix}-{purpose}",
            block_device_mappings=[
                aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                    device_name="/dev/xvda",
                    ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                        volume_size=size.disk_gib,
                        volume_type="gp3",
                        encrypted="true",
                        delete_on_termination="true",
                    ),
                )
            ],
            # One hop: a Pod does not reach the node's own credentials.
            metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
            ),
            # A provider's default tags do not reach what the node group makes.
            tag_specifications=[
                aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=tagged)
                for kind in ("instance", "volume", "network-interface")
            ],
            opts=self._child,
        )
        return aws.eks.NodeGroup(
            f"{self._prefix}-{purpose}",
            cluster_name=self.name,
            node_role_arn=role.arn,
            # Left out, nodes would stay behind when the control plane moves, until EKS refuses its
            # next version.
            version=self._cluster.version,
            subnet_ids=self._args.network.private_subnet_ids,
            instance_types=list(size.instance_types),
            ami_type="AL2023_x86_64_NVIDIA" if gpu else "AL2023_x86_64_STANDARD",
            capacity_type="SPOT" if gpu else "ON_DEMAND",
            scaling_config=aws.eks.NodeGroupScalingConfigArgs(
                min_size=size.minimum, desired_size=size.minimum, max_size=size.maximum
            ),
            labels={"mlops-platform/nodes": purpose},
            taints=[aws.eks.NodeGroupTaintArgs(key=taint, value="true", effect="NO_SCHEDULE")]
            if taint
            else None,
            launch_template=aws.eks.NodeGroupLaunchTemplateArgs(
                id=template.id, version=template.latest_version.apply(str)
            ),
            # How many run is the autoscaler's to say.
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=after, ignore_changes=["scalingConfig.desiredSize"]
            ),
        )

    def _storage(self, after: list[pulumi.Resource]) -> pulumi.Resource:
        role = aws.iam.Role(
            f"{self._prefix}-ebs-csi", assume_role_policy=pod_trust(), opts=self._child
        )
        policy = aws.iam.RolePolicyAttachment(
            f"{self._prefix}-ebs-csi",
            role=role.name,
            policy_arn="arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy",
            opts=self._child,
        )
        identity = aws.eks.PodIdentityAssociation(
            f"{self._prefix}-ebs-csi",
            cluster_name=self.name,
            namespace="kube-system",
            service_account="ebs-csi-controller-sa",
            role_arn=role.arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        return self._addon("aws-ebs-csi-driver", after=[*after, identity])


def trust(service: str) -> str:
    """Return the policy of a role that an AWS service takes on."""
    return _trust(service, ["sts:AssumeRole"])


def pod_trust() -> str:
    """Return the policy of a role that Pods take on by EKS Pod Identity."""
    return _trust("pods.eks.amazonaws.com", ["sts:AssumeRole", "sts:TagSession"])


def _trust(service: str, actions: list[str]) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": actions}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def kubeconfig(name: str, endpoint: str, authority: str, *, region: str) -> str:
    """Return a kubeconfig that gets its tokens from the `aws` program."""
    command = ["eks", "get-token", "--cluster-name", name, "--region", region, "--output", "json"]
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": "aws",
            "args": command,
            "interactiveMode": "Never",
        }
    }
    cluster = {"server": endpoint, "certificate-authority-data": authority}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
    )
