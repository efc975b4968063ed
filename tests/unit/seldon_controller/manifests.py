"""Manifests as the documentation of Seldon Core describes them, with what single nodes need."""

import copy
from typing import Any

from seldon_controller.objects import Images, Server

IMAGES = Images(
    initializer="local/storage-initializer:1",
    servers={
        "SKLEARN_SERVER": Server(image="local/server:1", model_name="prepackaged.SKLearnServer"),
        "MLFLOW_SERVER": Server(image="local/server:1", model_name="prepackaged.MLFlowServer"),
    },
)
NO_ENGINE = {"seldon.io/no-engine": "true"}


def prepackaged(**graph: Any) -> dict[str, Any]:
    """The shortest manifest: a prepackaged server and a model's address."""
    return _deployment(
        "iris",
        {
            "replicas": 1,
            "predictors": [
                {
                    "name": "default",
                    "annotations": NO_ENGINE,
                    "graph": {
                        "name": "classifier",
                        "implementation": "SKLEARN_SERVER",
                        "modelUri": "s3://models/iris",
                        "envSecretRefName": "seldon-s3",
                        **graph,
                    },
                }
            ],
        },
    )


def canary() -> dict[str, Any]:
    """Two predictors with containers of their own that share the traffic."""
    return _deployment(
        "income",
        {
            "annotations": {"team": "data"},
            "replicas": 2,
            "predictors": [_predictor("main", 75, replicas=3), _predictor("canary", 25)],
        },
    )


def _predictor(name: str, traffic: int, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "traffic": traffic,
        "annotations": dict(NO_ENGINE),
        "labels": {"version": f"{name}-1"},
        "graph": {
            "name": "model",
            "type": "MODEL",
            "modelUri": "s3://models/income",
            "parameters": [{"name": "method", "type": "STRING", "value": "predict"}],
        },
        "componentSpecs": [
            {
                "spec": {
                    "containers": [
                        {
                            "name": "model",
                            "image": "local/income:1",
                            "env": [{"name": "PREDICTIVE_UNIT_ID", "value": "mine"}],
                            "resources": {"requests": {"memory": "1Mi"}},
                        }
                    ]
                }
            }
        ],
        **more,
    }


def _deployment(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(
        {
            "apiVersion": "machinelearning.seldon.io/v1",
            "kind": "SeldonDeployment",
            "metadata": {"name": name, "namespace": "models", "uid": "u-1", "generation": 1},
            "spec": spec,
        }
    )
