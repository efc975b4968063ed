"""The service account of the pipeline's steps, and what it may do in other namespaces."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes


@dataclass(frozen=True, kw_only=True)
class PipelineAccount:
    """Who deploys versions from within the cluster.

    Attributes:
        namespace: namespace of the steps.
        account: their service account.
    """

    namespace: pulumi.Input[str]
    account: str

    def grant(
        self,
        name: str,
        namespace: pulumi.Input[str],
        rules: Sequence[kubernetes.rbac.v1.PolicyRuleArgsDict],
        opts: pulumi.ResourceOptions,
        *,
        role: str = "pipeline-steps",
    ) -> kubernetes.rbac.v1.RoleBinding:
        """Register what it may do in a namespace, and return the binding.

        Args:
            name: name of the resources.
            namespace: the namespace.
            rules: what it may do there.
            opts: options of the resources.
            role: name of the Role; another one for each model that shares the namespace.
        """
        metadata: kubernetes.meta.v1.ObjectMetaArgsDict = {
            "name": role,
            "namespace": namespace,
        }
        granted = kubernetes.rbac.v1.Role(f"{name}-role", metadata=metadata, rules=rules, opts=opts)
        return kubernetes.rbac.v1.RoleBinding(
            f"{name}-binding",
            metadata=metadata,
            role_ref={
                "api_group": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": granted.metadata.name,
            },
            subjects=[
                {"kind": "ServiceAccount", "name": self.account, "namespace": self.namespace}
            ],
            opts=opts,
        )
