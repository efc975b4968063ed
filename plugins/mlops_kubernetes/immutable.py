"""Fields that cannot be changed in place: changing one of them replaces the object.

The table follows the official plugin's (`provider/pkg/provider/diff.go`) and the API server's
validation. A path names a field and everything below it; `*` stands for each item of a list.
"""

from typing import Final

from mlops_kubernetes.kinds import Kind
from mlops_kubernetes.paths import WILDCARD, PropertyPath, parse

_IDENTITY: Final = ("kind", "metadata.name", "metadata.namespace", "metadata.generateName")
_CONTAINER: Final = (
    "args",
    "command",
    "env",
    "envFrom",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "startupProbe",
    "resources",
    "securityContext",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
)
# Everything of a pod's spec but images, activeDeadlineSeconds, tolerations and scheduling gates.
_POD: Final = (
    "spec.affinity",
    "spec.automountServiceAccountToken",
    "spec.dnsConfig",
    "spec.dnsPolicy",
    "spec.enableServiceLinks",
    "spec.hostAliases",
    "spec.hostIPC",
    "spec.hostNetwork",
    "spec.hostPID",
    "spec.hostUsers",
    "spec.hostname",
    "spec.imagePullSecrets",
    "spec.nodeName",
    "spec.nodeSelector",
    "spec.os",
    "spec.overhead",
    "spec.preemptionPolicy",
    "spec.priority",
    "spec.priorityClassName",
    "spec.readinessGates",
    "spec.restartPolicy",
    "spec.runtimeClassName",
    "spec.schedulerName",
    "spec.securityContext",
    "spec.serviceAccount",
    "spec.serviceAccountName",
    "spec.shareProcessNamespace",
    "spec.subdomain",
    "spec.terminationGracePeriodSeconds",
    "spec.topologySpreadConstraints",
    "spec.volumes",
    *(f"spec.{which}[*].{f}" for which in ("containers", "initContainers") for f in _CONTAINER),
)
_SECRET_FIELDS: Final = ("type", "data", "stringData")
_CONFIG_MAP_FIELDS: Final = ("data", "binaryData")
_PERSISTENT_VOLUME: Final = (
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "glusterfs",
    "hostPath",
    "iscsi",
    "local",
    "nfs",
    "nodeAffinity",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "volumeMode",
    "vsphereVolume",
)
_FIELDS: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("", "ConfigMap"): _CONFIG_MAP_FIELDS,
    ("", "Secret"): _SECRET_FIELDS,
    ("", "Pod"): _POD,
    ("", "PersistentVolume"): tuple(f"spec.{source}" for source in _PERSISTENT_VOLUME),
    ("", "PersistentVolumeClaim"): (
        "spec.accessModes",
        "spec.dataSource",
        "spec.dataSourceRef",
        "spec.resources.limits",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeMode",
        "spec.volumeName",
    ),
    ("", "ReplicationController"): (),
    ("", "ResourceQuota"): ("spec.scopes", "spec.scopeSelector"),
    ("", "Service"): ("spec.clusterIP", "spec.clusterIPs"),
    ("apps", "DaemonSet"): ("spec.selector",),
    ("apps", "Deployment"): ("spec.selector",),
    ("apps", "ReplicaSet"): ("spec.selector",),
    ("apps", "StatefulSet"): (
        "spec.podManagementPolicy",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    ("batch", "Job"): (
        "spec.backoffLimitPerIndex",
        "spec.completionMode",
        "spec.completions",
        "spec.managedBy",
        "spec.manualSelector",
        "spec.podFailurePolicy",
        "spec.podReplacementPolicy",
        "spec.selector",
        "spec.successPolicy",
        "spec.template",
    ),
    ("networking.k8s.io", "IngressClass"): ("spec.controller",),
    ("node.k8s.io", "RuntimeClass"): ("handler",),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),
    ("scheduling.k8s.io", "PriorityClass"): ("value", "preemptionPolicy"),
    ("storage.k8s.io", "CSIDriver"): ("spec.attachRequired", "spec.volumeLifecycleModes"),
    ("storage.k8s.io", "StorageClass"): (
        "parameters",
        "provisioner",
        "reclaimPolicy",
        "volumeBindingMode",
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (
        "spec.group",
        "spec.names.kind",
        "spec.names.plural",
        "spec.scope",
    ),
}


def fields(
    kind: Kind,
    *,
    config_map_mutable: bool = False,
    secret_mutable: bool = False,
    object_immutable: bool = False,
) -> tuple[PropertyPath, ...]:
    """Return the paths whose change replaces an object of a kind.

    Args:
        kind: the object's kind.
        config_map_mutable: the provider lets ConfigMaps change in place.
        secret_mutable: the provider lets Secrets change in place.
        object_immutable: the live ConfigMap or Secret has `immutable: true`.
    """
    own = _FIELDS.get((kind.group, kind.kind), ())
    if not object_immutable and kind.group == "":
        if kind.kind == "ConfigMap" and config_map_mutable:
            own = ()
        elif kind.kind == "Secret" and secret_mutable:
            own = ("type",)
    if object_immutable and kind.kind in ("ConfigMap", "Secret"):
        own = (*own, "immutable")
    return tuple(parse(text) for text in (*_IDENTITY, *own))


def covers(immutable: tuple[PropertyPath, ...], path: PropertyPath) -> bool:
    """Tell whether changing the value at `path` changes an immutable field."""
    return any(_matches(field, path) for field in immutable)


def _matches(field: PropertyPath, path: PropertyPath) -> bool:
    """Whether `path` lies at or below `field`, or above it (and so carries it along)."""
    pairs = zip(field.parts, path.parts, strict=False)
    return all(own in (WILDCARD, other) for own, other in pairs)
