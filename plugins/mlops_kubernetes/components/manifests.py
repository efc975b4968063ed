"""Manifests: YAML text to objects, in the order in which they can be made."""

import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import yaml

from mlops_kubernetes import annotations, kinds, objects
from mlops_kubernetes.kinds import Kind
from mlops_kubernetes.paths import PropertyPath
from mlops_kubernetes.values import UNKNOWN

DEPENDS_ON: Final = "config.kubernetes.io/depends-on"
_CRD: Final = Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")


class ManifestError(ValueError):
    """A manifest cannot be used; the message names it and what is wrong."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One object to be made by a component.

    Attributes:
        value: the object.
        secrets: paths in it that are secret.
        after: places, in the list of manifests, of those that must be made before it.
    """

    value: dict[str, Any]
    secrets: frozenset[PropertyPath] = frozenset()
    after: frozenset[int] = field(default_factory=frozenset)

    @property
    def kind(self) -> Kind:
        """The object's kind."""
        return kinds.of_object(self.value)

    @property
    def namespace(self) -> str:
        """The object's namespace; empty for a cluster-scoped object."""
        return str(self.value["metadata"].get("namespace") or "")

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.value["metadata"]["name"])

    @property
    def type_token(self) -> str:
        """The resource type of the object."""
        api = self.kind.api_version
        return f"kubernetes:{api if '/' in api else f'core/{api}'}:{self.kind.kind}"

    def resource_name(self, prefix: str) -> str:
        """The resource's name in the stack: `prefix:namespace/name`."""
        qualified = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{prefix}:{qualified}" if prefix else qualified


def parse(text: str, origin: str) -> list[dict[str, Any]]:
    """Return the objects of a YAML or JSON text; empty documents are left out.

    Args:
        text: one or more documents.
        origin: where the text is from, for messages.

    Raises:
        ManifestError: the text is no YAML, or a document is no object.
    """
    try:
        documents = list(yaml.load_all(text, Loader=_loader()))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "cannot be read"
        raise ManifestError(f"{origin}{where}: no valid YAML: {problem}") from None
    found = []
    for number, document in enumerate(documents, start=1):
        if not document:
            continue
        if not isinstance(document, dict):
            raise ManifestError(f"{origin}, document {number}: not a Kubernetes object")
        found.append(document)
    return found


def expand(values: Iterable[dict[str, Any]], origin: str) -> list[dict[str, Any]]:
    """Return the objects with every list replaced by its items.

    Raises:
        ManifestError: an object lacks apiVersion, kind or a name.
    """
    found: list[dict[str, Any]] = []
    for value in values:
        if kinds.is_list(value):
            found += expand(value["items"], origin)
            continue
        kind = kinds.of_object(value)
        if not kind.api_version or not kind.kind:
            raise ManifestError(f"{origin}: an object lacks apiVersion or kind")
        metadata = value.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if not name or name is UNKNOWN:
            raise ManifestError(f"{origin}: a {kind.kind} lacks metadata.name")
        found.append({**value, "apiVersion": kind.api_version})
    return found


def scope_from_definitions(values: Iterable[dict[str, Any]]) -> dict[Kind, bool]:
    """Return which custom kinds are namespaced, as far as definitions among the objects say."""
    found = {}
    for value in values:
        if kinds.of_object(value).kind != _CRD.kind:
            continue
        spec = value.get("spec") or {}
        for version in spec.get("versions") or []:
            api_version = f"{spec.get('group')}/{version.get('name')}"
            kind = Kind(api_version, str((spec.get("names") or {}).get("kind")))
            found[kind] = spec.get("scope") == "Namespaced"
    return found


def placed(value: dict[str, Any], namespace: str, namespaced: bool | None) -> dict[str, Any]:
    """Return an object in its namespace: its own, or the given one if its kind has namespaces."""
    metadata = dict(value["metadata"])
    if namespaced is False:
        metadata.pop("namespace", None)
    elif namespaced and not metadata.get("namespace"):
        metadata["namespace"] = namespace
    return {**value, "metadata": metadata}


def without_await(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object that the plugin must not wait for."""
    result = copy.deepcopy(value)
    metadata = result["metadata"]
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        annotations.SKIP_AWAIT: "true",
    }
    return result


def ordered(manifests: list[Manifest]) -> list[Manifest]:
    """Return the manifests, each with the places of those that must be made before it.

    Definitions come before their objects, namespaces before their contents, and before all what
    the annotation `config.kubernetes.io/depends-on` names.

    Raises:
        ManifestError: the annotation names no object of the component, or there is a circle.
    """
    by_reference = {_reference(m): index for index, m in enumerate(manifests)}
    definitions: dict[tuple[str, str], int] = {}
    namespaces: dict[str, int] = {}
    for index, manifest in enumerate(manifests):
        if manifest.kind.kind == _CRD.kind:
            spec = manifest.value.get("spec") or {}
            definitions[str(spec.get("group")), str((spec.get("names") or {}).get("kind"))] = index
        elif manifest.kind == Kind("v1", "Namespace"):
            namespaces[manifest.name] = index
    result = []
    for manifest in manifests:
        after = {
            definitions.get((manifest.kind.group, manifest.kind.kind)),
            namespaces.get(manifest.namespace),
            *_annotated(manifest, by_reference),
        }
        known = frozenset(index for index in after if index is not None)
        result.append(Manifest(value=manifest.value, secrets=manifest.secrets, after=known))
    _refuse_circles(result)
    return result


def as_manifest(value: dict[str, Any], secrets: Iterable[PropertyPath] = ()) -> Manifest:
    """Return an object as a manifest; what a Secret holds is secret wherever it comes from."""
    return Manifest(value=value, secrets=objects.secret_paths(value, frozenset(secrets)))


def _reference(manifest: Manifest) -> str:
    """Return `group/namespaces/ns/Kind/name` or `group/Kind/name`, as depends-on names objects."""
    namespace = f"namespaces/{manifest.namespace}/" if manifest.namespace else ""
    return f"{manifest.kind.group}/{namespace}{manifest.kind.kind}/{manifest.name}"


def _annotated(manifest: Manifest, by_reference: dict[str, int]) -> list[int]:
    text = annotations.read(manifest.value, DEPENDS_ON) or ""
    found = []
    for reference in filter(None, (part.strip() for part in text.split(","))):
        if reference not in by_reference:
            raise ManifestError(
                f"{manifest.kind.kind} {manifest.name}: annotation {DEPENDS_ON} names "
                f"{reference!r}, which is no object of this component"
            )
        found.append(by_reference[reference])
    return found


def _refuse_circles(manifests: list[Manifest]) -> None:
    done: set[int] = set()
    while len(done) < len(manifests):
        ready = {i for i, m in enumerate(manifests) if i not in done and m.after <= done}
        if not ready:
            names = sorted(m.name for i, m in enumerate(manifests) if i not in done)
            raise ManifestError(f"these objects depend on each other: {', '.join(names)}")
        done |= ready


@cache
def _loader() -> type[Any]:
    """Return a safe YAML loader that reads scalars as Kubernetes' own parser does.

    PyYAML would take `2024-01-01` for a date and `12:30` for a number in base 60, and would fail on
    a bare `=`.
    """
    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc,valid-type]
        yaml_implicit_resolvers = {  # noqa: RUF012
            first: [
                pair for pair in pairs if pair[0].rpartition(":")[2] in ("bool", "null", "merge")
            ]
            for first, pairs in base.yaml_implicit_resolvers.items()
        }

    integer = r"[-+]?(0b[01_]+|0o?[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)\Z"
    decimal = r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z"
    Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(integer), list("-+0123456789"))
    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(decimal), list("-+.0123456789")
    )
    return Loader
