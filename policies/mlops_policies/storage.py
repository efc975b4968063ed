"""Encryption of what holds data outside of buckets, and of what serves it."""

from collections.abc import Iterator

from mlops_policies.rule import UNKNOWN, Allowed, Resource, Rule, items

# Type to the property that must be true.
_ENCRYPTED = {
    "aws:ebs/volume:Volume": "encrypted",
    "aws:efs/fileSystem:FileSystem": "encrypted",
    "aws:rds/instance:Instance": "storageEncrypted",
    "aws:rds/cluster:Cluster": "storageEncrypted",
}
_CLUSTER = "aws:eks/cluster:Cluster"
_LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
_LISTENERS = ("aws:lb/listener:Listener", "aws:alb/listener:Listener")


def _at_rest(resource: Resource, _: Allowed) -> Iterator[str]:
    wanted = _ENCRYPTED.get(resource.type)
    if wanted and resource.get(wanted) not in (True, UNKNOWN):
        yield f"{wanted} is not true"
    if resource.is_a(_CLUSTER) and resource.get("encryptionConfig") is None:
        yield "encryptionConfig is missing, so Kubernetes secrets are not encrypted with a KMS key"
    if resource.is_a(_LAUNCH_TEMPLATE):
        for mapping in items(resource.get("blockDeviceMappings")):
            disk = mapping.get("ebs") if isinstance(mapping, dict) else None
            # The SDK gives this one as text.
            if isinstance(disk, dict) and disk.get("encrypted") not in (True, "true", UNKNOWN):
                yield f"the volume {mapping.get('deviceName', '')} is not encrypted"


def _in_transit(resource: Resource, _: Allowed) -> Iterator[str]:
    if resource.is_a(*_LISTENERS) and resource.get("protocol") == "HTTP":
        actions = items(resource.get("defaultActions"))
        if not actions or any(a.get("type") != "redirect" for a in actions if isinstance(a, dict)):
            yield "it serves plain HTTP"


RULES = (
    Rule(
        name="encryption-at-rest",
        description="Volumes, databases and cluster secrets are encrypted.",
        remedy="Switch the encryption on, with a KMS key of the stack.",
        check=_at_rest,
    ),
    Rule(
        name="encryption-in-transit",
        description="Load balancers serve TLS.",
        remedy="Use protocol HTTPS or TLS with a certificate, or redirect to it.",
        check=_in_transit,
    ),
)
