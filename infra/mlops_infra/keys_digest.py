"""Pods that start anew when the keys that they read are others.

A program reads the variables and files of a Secret when it starts. Where the Secret keeps its name,
as a fixed one does and every one that is taken over, nothing else tells a Deployment of other keys.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pulumi

ANNOTATION: Final = "mlops-platform/keys-digest"
_WORKLOADS: Final = frozenset({"Deployment", "StatefulSet", "DaemonSet"})


def digest(
    secret: pulumi.CustomResource, values: Mapping[str, pulumi.Input[str]]
) -> pulumi.Output[str]:
    """Return a text that is another one when a Secret's values are.

    It may be read by everybody, so one of the values must be a random key: a digest of what
    somebody has chosen could be guessed.

    Args:
        secret: the Secret, which is there before anything that bears the text.
        values: its values.
    """
    known = pulumi.Output.all(secret.id, dict(values))
    return pulumi.Output.unsecret(known.apply(lambda found: _digest(found[1])))


def annotations(*digests: pulumi.Input[str]) -> dict[str, pulumi.Input[str]]:
    """Return the annotations of a Pod template whose containers read Secrets with these digests."""
    if not digests:
        return {}
    return {ANNOTATION: pulumi.Output.all(*digests).apply(",".join)}


def marked(
    manifest: Mapping[str, Any], digests: Mapping[str, pulumi.Input[str]]
) -> Mapping[str, Any]:
    """Return a manifest whose Pod template is annotated if it reads one of these Secrets.

    Args:
        manifest: an object as in YAML.
        digests: by the Secret's name.
    """
    if manifest["kind"] not in _WORKLOADS:
        return manifest
    spec = manifest["spec"]
    template: Mapping[str, Any] = spec["template"]
    found = sorted({name for name in names(template["spec"]) if name in digests})
    if not found:
        return manifest
    metadata = template.get("metadata") or {}
    own = {
        **(metadata.get("annotations") or {}),
        **annotations(*(digests[name] for name in found)),
    }
    changed = {**template, "metadata": {**metadata, "annotations": own}}
    return {**manifest, "spec": {**spec, "template": changed}}


def names(pod: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the Secrets that a Pod's containers read, as its spec in YAML has them."""
    for container in [*(pod.get("initContainers") or []), *(pod.get("containers") or [])]:
        for source in container.get("envFrom") or []:
            yield from _name(source.get("secretRef"), "name")
        for variable in container.get("env") or []:
            yield from _name((variable.get("valueFrom") or {}).get("secretKeyRef"), "name")
    for volume in pod.get("volumes") or []:
        yield from _name(volume.get("secret"), "secretName")
        for source in (volume.get("projected") or {}).get("sources") or []:
            yield from _name(source.get("secret"), "name")


def _name(reference: Mapping[str, Any] | None, key: str) -> Iterator[str]:
    if reference and reference.get(key):
        yield reference[key]


def _digest(values: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(values), sort_keys=True).encode()).hexdigest()[:16]
