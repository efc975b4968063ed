"""Kinds: group, version and kind of an object, and what is known of the built-in ones.

For kinds of Kubernetes itself the path and the scope are known without asking a cluster, which
saves one request per API group and makes previews possible when there is no cluster yet.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

_TOKEN: Final = re.compile(r"kubernetes:(?P<api>[^:]+):(?P<kind>[A-Za-z0-9]+)\Z")
_PATCH: Final = "Patch"
# SDK modules without a version in their name are not object kinds (`yaml`, `helm.sh/v3` …).
_NOT_OBJECTS: Final = frozenset(
    {"helm.sh/v3", "helm.sh/v4", "helm.sh/v2", "yaml", "yaml/v2", "kustomize", "kustomize/v2"}
)


@dataclass(frozen=True)
class Kind:
    """Group, version and kind of an object."""

    api_version: str
    kind: str

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    def __str__(self) -> str:
        return f"{self.api_version}/{self.kind}"


@dataclass(frozen=True)
class Endpoint:
    """Where objects of a kind are served: the last part of the path, and the scope."""

    plural: str
    namespaced: bool


def of_object(value: dict[str, Any]) -> Kind:
    """Return the kind that an object states; parts that it does not state are empty."""
    api_version, kind = value.get("apiVersion"), value.get("kind")
    stated = api_version if isinstance(api_version, str) else ""
    return Kind(stated.removeprefix("core/"), kind if isinstance(kind, str) else "")


def of_type(token: str) -> Kind | None:
    """Return the kind of a resource type such as `kubernetes:apps/v1:DeploymentPatch`.

    None when the type is a component or another thing that is no Kubernetes object.
    """
    found = _TOKEN.match(token)
    if found is None or found["api"] in _NOT_OBJECTS:
        return None
    kind = found["kind"].removesuffix(_PATCH) if is_patch(token) else found["kind"]
    return Kind(found["api"].removeprefix("core/"), kind)


def is_patch(token: str) -> bool:
    """Tell whether a resource type patches an object that somebody else owns."""
    return token.endswith(_PATCH) and not token.endswith(f":{_PATCH}")


def is_list(value: dict[str, Any]) -> bool:
    """Tell whether an object is a list of objects (`List`, `ConfigMapList` …)."""
    return of_object(value).kind.endswith("List") and isinstance(value.get("items"), list)


def builtin(kind: Kind) -> Endpoint | None:
    """Return the endpoint of one of Kubernetes' own kinds, None for any other."""
    return _BUILTIN.get((kind.group, kind.kind))


# From the discovery documents of Kubernetes 1.34. Names and scopes are part of the stable API.
_TABLE: Final[dict[str, tuple[str, ...]]] = {
    "": (
        "ComponentStatus componentstatuses cluster",
        "ConfigMap configmaps namespaced",
        "Endpoints endpoints namespaced",
        "Event events namespaced",
        "LimitRange limitranges namespaced",
        "Namespace namespaces cluster",
        "Node nodes cluster",
        "PersistentVolume persistentvolumes cluster",
        "PersistentVolumeClaim persistentvolumeclaims namespaced",
        "Pod pods namespaced",
        "PodTemplate podtemplates namespaced",
        "ReplicationController replicationcontrollers namespaced",
        "ResourceQuota resourcequotas namespaced",
        "Secret secrets namespaced",
        "Service services namespaced",
        "ServiceAccount serviceaccounts namespaced",
    ),
    "admissionregistration.k8s.io": (
        "MutatingWebhookConfiguration mutatingwebhookconfigurations cluster",
        "ValidatingAdmissionPolicy validatingadmissionpolicies cluster",
        "ValidatingAdmissionPolicyBinding validatingadmissionpolicybindings cluster",
        "ValidatingWebhookConfiguration validatingwebhookconfigurations cluster",
    ),
    "apiextensions.k8s.io": ("CustomResourceDefinition customresourcedefinitions cluster",),
    "apiregistration.k8s.io": ("APIService apiservices cluster",),
    "apps": (
        "ControllerRevision controllerrevisions namespaced",
        "DaemonSet daemonsets namespaced",
        "Deployment deployments namespaced",
        "ReplicaSet replicasets namespaced",
        "StatefulSet statefulsets namespaced",
    ),
    "autoscaling": ("HorizontalPodAutoscaler horizontalpodautoscalers namespaced",),
    "batch": (
        "CronJob cronjobs namespaced",
        "Job jobs namespaced",
    ),
    "certificates.k8s.io": ("CertificateSigningRequest certificatesigningrequests cluster",),
    "coordination.k8s.io": ("Lease leases namespaced",),
    "discovery.k8s.io": ("EndpointSlice endpointslices namespaced",),
    "events.k8s.io": ("Event events namespaced",),
    "flowcontrol.apiserver.k8s.io": (
        "FlowSchema flowschemas cluster",
        "PriorityLevelConfiguration prioritylevelconfigurations cluster",
    ),
    "networking.k8s.io": (
        "IPAddress ipaddresses cluster",
        "Ingress ingresses namespaced",
        "IngressClass ingressclasses cluster",
        "NetworkPolicy networkpolicies namespaced",
        "ServiceCIDR servicecidrs cluster",
    ),
    "node.k8s.io": ("RuntimeClass runtimeclasses cluster",),
    "policy": ("PodDisruptionBudget poddisruptionbudgets namespaced",),
    "rbac.authorization.k8s.io": (
        "ClusterRole clusterroles cluster",
        "ClusterRoleBinding clusterrolebindings cluster",
        "Role roles namespaced",
        "RoleBinding rolebindings namespaced",
    ),
    "resource.k8s.io": (
        "DeviceClass deviceclasses cluster",
        "ResourceClaim resourceclaims namespaced",
        "ResourceClaimTemplate resourceclaimtemplates namespaced",
        "ResourceSlice resourceslices cluster",
    ),
    "scheduling.k8s.io": ("PriorityClass priorityclasses cluster",),
    "storage.k8s.io": (
        "CSIDriver csidrivers cluster",
        "CSINode csinodes cluster",
        "CSIStorageCapacity csistoragecapacities namespaced",
        "StorageClass storageclasses cluster",
        "VolumeAttachment volumeattachments cluster",
        "VolumeAttributesClass volumeattributesclasses cluster",
    ),
}
GROUPS: Final = frozenset(_TABLE)
"""The API groups of Kubernetes itself."""
_BUILTIN: Final = {
    (group, kind): Endpoint(plural, scope == "namespaced")
    for group, rows in _TABLE.items()
    for kind, plural, scope in (row.split() for row in rows)
}
