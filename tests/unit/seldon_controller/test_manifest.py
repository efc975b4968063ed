from collections.abc import Callable
from typing import Any

import pytest

from seldon_controller import manifest
from seldon_controller.manifest import ManifestError
from tests.unit.seldon_controller.manifests import IMAGES, canary, prepackaged

SERVERS = tuple(IMAGES.servers)


def test_documented_manifests_are_read() -> None:
    (predictor,) = manifest.read(prepackaged(), SERVERS).predictors
    assert (predictor.unit.implementation, predictor.replicas) == ("SKLEARN_SERVER", 1)
    main, other = manifest.read(canary(), SERVERS).predictors
    assert (main.traffic, other.traffic) == (75, 25)
    assert (main.replicas, other.replicas) == (3, 2)
    assert main.unit.implementation == ""


def test_a_single_predictor_needs_no_traffic_and_zero_replicas_are_a_number() -> None:
    body = prepackaged()
    body["spec"]["predictors"][0] |= {"traffic": 100, "replicas": 0}
    assert manifest.read(body, SERVERS).predictors[0].replicas == 0


def _graph(**change: Any) -> Callable[[dict[str, Any]], None]:
    return lambda spec: spec["predictors"][0]["graph"].update(change)


def _predictor(**change: Any) -> Callable[[dict[str, Any]], None]:
    return lambda spec: spec["predictors"][0].update(change)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: s.update(predictors=[]), "predictors: there is none"),
        (lambda s: s.update(protocol="v2"), "protocol: v2 is not supported, only seldon"),
        (lambda s: s.update(serverType="kafka"), "serverType: kafka is not supported"),
        (_predictor(name=""), r"predictors\[0\]\.name: missing"),
        (_predictor(name="canary"), "the name canary is not unique"),
        (_predictor(traffic=74), "traffic must sum to 100, not 99"),
        (_predictor(annotations={}), r"needs seldon\.io/no-engine"),
        (_predictor(shadow=True), r"predictors\[0\]\.shadow: not supported"),
        (_predictor(explainer={"type": "AnchorTabular"}), "explainer: not supported"),
        (_predictor(svcOrchSpec={"env": []}), "svcOrchSpec: not supported"),
        (_predictor(componentSpecs=[]), "exactly one container model with an image"),
        (_predictor(componentSpecs=[{"hpaSpec": {"maxReplicas": 2}}]), "hpaSpec: not supported"),
        (_graph(name=None), r"graph\.name: missing"),
        (_graph(children=[{"name": "b"}]), "graphs of more than one node are not supported"),
        (_graph(type="TRANSFORMER"), "type: TRANSFORMER is not supported, only MODEL"),
        (_graph(type="ROUTER"), "type: ROUTER is not supported"),
        (_graph(logger={"mode": "all"}), "logger: not supported"),
        (_graph(implementation="TRITON_SERVER"), "only SKLEARN_SERVER, MLFLOW_SERVER"),
        (_graph(implementation="MLFLOW_SERVER", modelUri=""), "which MLFLOW_SERVER needs"),
    ],
)
def test_what_is_not_honoured_is_refused_with_its_path(
    change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    body = canary()
    change(body["spec"])
    with pytest.raises(ManifestError, match=reason):
        manifest.read(body, SERVERS)


def test_all_reasons_are_given_at_once() -> None:
    body = canary()
    body["spec"]["protocol"] = "v2"
    body["spec"]["predictors"][1]["shadow"] = True
    with pytest.raises(ManifestError, match=r"protocol.*predictors\[1\]\.shadow"):
        manifest.read(body, SERVERS)


def test_a_name_that_no_label_holds_is_refused() -> None:
    body = canary()
    body["metadata"]["name"] = "a" * 64
    with pytest.raises(ManifestError, match=r"metadata\.name: longer than 63 characters"):
        manifest.read(body, SERVERS)
