"""A SeldonDeployment, read and checked: what this controller honours, and a reason for the rest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

NO_ENGINE: Final = "seldon.io/no-engine"
SERVICE_NAME: Final = "seldon.io/svc-name"
# What a unit's implementation says when it has a container of its own.
_CUSTOM = ("", "UNKNOWN_IMPLEMENTATION")
_WHOLE_TRAFFIC = 100
# The name is a label's value on each object.
_LONGEST_NAME = 63


class ManifestError(ValueError):
    """A manifest is not honoured; the message names each reason with its path."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """The one node of a graph.

    Attributes:
        name: its name, which its container has too.
        implementation: prepackaged server, or empty for a container of its own.
        model_uri: where the model is; empty for a container that brings it.
        parameters: what its constructor is called with.
        secret: name of a Secret that becomes the model initializer's environment, or empty.
        service_account: account of its Pods, or empty.
        initializer_image: image of its model initializer, or empty for the controller's.
    """

    name: str
    implementation: str
    model_uri: str
    parameters: tuple[Mapping[str, Any], ...]
    secret: str
    service_account: str
    initializer_image: str


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """One version of a model, with its share of the traffic.

    Attributes:
        name: its name.
        unit: its graph.
        replicas: Pods of each component that names no number of its own.
        traffic: share of the requests in percent; a gateway in front reads it.
        labels: labels of its objects.
        annotations: annotations of its objects.
        components: Pods as `componentSpecs` gives them, at least one.
    """

    name: str
    unit: Unit
    replicas: int
    traffic: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    components: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A SeldonDeployment that can be honoured.

    Attributes:
        name: its name.
        namespace: where it is and its objects go.
        annotations: annotations of all its Pods.
        predictors: at least one.
    """

    name: str
    namespace: str
    annotations: Mapping[str, str]
    predictors: tuple[Predictor, ...]


def read(body: Mapping[str, Any], servers: Sequence[str]) -> Manifest:
    """Return what a SeldonDeployment asks for.

    Args:
        body: the object as the API server holds it.
        servers: names of the prepackaged servers that there are.

    Raises:
        ManifestError: it asks for what this controller does not do, or contradicts itself.
    """
    metadata, spec = body["metadata"], body.get("spec") or {}
    predictors = spec.get("predictors") or []
    problems = [*_spec_problems(spec, predictors)]
    if len(metadata["name"]) > _LONGEST_NAME:
        problems.insert(0, f"metadata.name: longer than {_LONGEST_NAME} characters")
    for number, predictor in enumerate(predictors):
        path = f"predictors[{number}]"
        problems += [f"{path}.{problem}" for problem in _predictor_problems(predictor, servers)]
    if problems:
        raise ManifestError("; ".join(problems))
    return Manifest(
        name=metadata["name"],
        namespace=metadata["namespace"],
        annotations=spec.get("annotations") or {},
        predictors=tuple(_predictor(each, spec) for each in predictors),
    )


def _spec_problems(
    spec: Mapping[str, Any], predictors: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    if not predictors:
        yield "predictors: there is none"
    names = [predictor.get("name") for predictor in predictors]
    for name in sorted({str(name) for name in names if names.count(name) > 1}):
        yield f"predictors: the name {name} is not unique"
    total = sum(predictor.get("traffic") or 0 for predictor in predictors)
    allowed = (_WHOLE_TRAFFIC,) if len(predictors) > 1 else (0, _WHOLE_TRAFFIC)
    if predictors and total not in allowed:
        yield f"predictors: traffic must sum to {_WHOLE_TRAFFIC}, not {total}"
    if (protocol := spec.get("protocol") or "seldon") != "seldon":
        yield f"protocol: {protocol} is not supported, only seldon"
    if (server := spec.get("serverType") or "rpc") != "rpc":
        yield f"serverType: {server} is not supported, only rpc"


def _predictor_problems(predictor: Mapping[str, Any], servers: Sequence[str]) -> Iterator[str]:
    if not predictor.get("name"):
        yield "name: missing"
    if str((predictor.get("annotations") or {}).get(NO_ENGINE, "")).lower() != "true":
        yield f'annotations: needs {NO_ENGINE}: "true", for there is no service orchestrator'
    for key in ("explainer", "svcOrchSpec", "ssl"):
        if predictor.get(key):
            yield f"{key}: not supported"
    if predictor.get("shadow"):
        yield "shadow: not supported"
    graph = predictor.get("graph") or {}
    components = predictor.get("componentSpecs") or []
    for number, component in enumerate(components):
        for key in ("hpaSpec", "kedaSpec", "pdbSpec"):
            if component.get(key):
                yield f"componentSpecs[{number}].{key}: not supported"
    yield from (f"graph.{problem}" for problem in _graph_problems(graph, components, servers))


def _graph_problems(
    graph: Mapping[str, Any], components: Sequence[Mapping[str, Any]], servers: Sequence[str]
) -> Iterator[str]:
    name = graph.get("name")
    if not name:
        yield "name: missing"
    if graph.get("children"):
        yield "children: graphs of more than one node are not supported"
    if (kind := graph.get("type") or "MODEL") not in ("MODEL", "UNKNOWN_TYPE"):
        yield f"type: {kind} is not supported, only MODEL"
    if graph.get("logger"):
        yield "logger: not supported"
    implementation = graph.get("implementation") or ""
    containers = [c for component in components for c in _containers(component)]
    own = [container for container in containers if container.get("name") == name]
    if implementation in _CUSTOM:
        if len(own) != 1 or not own[0].get("image"):
            yield f"name: needs exactly one container {name} with an image in componentSpecs"
    elif implementation not in servers:
        yield f"implementation: {implementation} is not supported, only {', '.join(servers)}"
    elif not graph.get("modelUri"):
        yield f"modelUri: missing, which {implementation} needs"


def _containers(component: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list((component.get("spec") or {}).get("containers") or [])


def _predictor(predictor: Mapping[str, Any], spec: Mapping[str, Any]) -> Predictor:
    graph = predictor["graph"]
    implementation = graph.get("implementation") or ""
    replicas = predictor.get("replicas")
    if replicas is None:
        replicas = spec.get("replicas")
    return Predictor(
        name=predictor["name"],
        unit=Unit(
            name=graph["name"],
            implementation="" if implementation in _CUSTOM else implementation,
            model_uri=graph.get("modelUri") or "",
            parameters=tuple(graph.get("parameters") or ()),
            secret=graph.get("envSecretRefName") or "",
            service_account=graph.get("serviceAccountName") or "",
            initializer_image=graph.get("storageInitializerImage") or "",
        ),
        replicas=1 if replicas is None else replicas,
        traffic=predictor.get("traffic") or 0,
        labels=predictor.get("labels") or {},
        annotations=predictor.get("annotations") or {},
        components=tuple(predictor.get("componentSpecs") or ({},)),
    )
