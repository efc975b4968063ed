"""The SeldonDeployment's definition, machinelearning.seldon.io/v1, in a structural schema.

It names what the documentation names. Pod specifications and what only the official operator reads
are kept as they are, so that the same manifests are accepted.
"""

from typing import Any, Final

_ANY: Final = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "object", "additionalProperties": _TEXT}
_NUMBER: Final = {"type": "integer", "format": "int32"}
_REPLICAS: Final = {**_NUMBER, "minimum": 0}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _open(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {**_ANY, "properties": properties, **({"required": list(required)} if required else {})}


_GRAPH: Final = _open(
    {
        "name": _TEXT,
        "type": _TEXT,
        "implementation": _TEXT,
        "modelUri": _TEXT,
        "serviceAccountName": _TEXT,
        "envSecretRefName": _TEXT,
        "storageInitializerImage": _TEXT,
        "parameters": _list(_open({"name": _TEXT, "type": _TEXT, "value": _TEXT}, "name", "value")),
        "children": _list(_ANY),
    },
    "name",
)
_COMPONENT: Final = _open({"metadata": _ANY, "spec": _ANY, "replicas": _REPLICAS})
_PREDICTOR: Final = _open(
    {
        "name": _TEXT,
        "graph": _GRAPH,
        "componentSpecs": _list(_COMPONENT),
        "replicas": _REPLICAS,
        "traffic": {**_NUMBER, "minimum": 0, "maximum": 100},
        "labels": _TEXTS,
        "annotations": _TEXTS,
        "shadow": {"type": "boolean"},
    },
    "name",
    "graph",
)
_SPEC: Final = _open(
    {
        "name": _TEXT,
        "predictors": _list(_PREDICTOR),
        "replicas": _REPLICAS,
        "annotations": _TEXTS,
        "protocol": _TEXT,
        "transport": _TEXT,
        "serverType": _TEXT,
    },
    "predictors",
)
_STATUS: Final = _open(
    {
        "state": _TEXT,
        "description": _TEXT,
        "replicas": _NUMBER,
        "observedGeneration": {"type": "integer", "format": "int64"},
        "deploymentStatus": {"type": "object", "additionalProperties": _ANY},
        "serviceStatus": {"type": "object", "additionalProperties": _ANY},
        "address": _open({"url": _TEXT}),
        "conditions": _list(_open({"type": _TEXT, "status": _TEXT}, "type", "status")),
    }
)

DEFINITION: Final[dict[str, Any]] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "seldondeployments.machinelearning.seldon.io"},
    "spec": {
        "group": "machinelearning.seldon.io",
        "scope": "Namespaced",
        "names": {
            "kind": "SeldonDeployment",
            "listKind": "SeldonDeploymentList",
            "plural": "seldondeployments",
            "singular": "seldondeployment",
            "shortNames": ["sdep"],
        },
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    {"name": "State", "type": "string", "jsonPath": ".status.state"},
                    {"name": "Replicas", "type": "integer", "jsonPath": ".status.replicas"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": _SPEC, "status": _STATUS},
                    }
                },
            }
        ],
    },
}
