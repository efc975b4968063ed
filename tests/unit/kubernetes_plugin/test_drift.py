import base64
import copy
from typing import Any

from hypothesis import given

from mlops_kubernetes.drift import drifted_inputs
from mlops_kubernetes.managed_fields import applied_fields
from mlops_kubernetes.values import UNKNOWN
from tests.unit.kubernetes_plugin.test_values import OBJECTS


@given(OBJECTS, OBJECTS)
def test_an_object_that_is_as_it_would_be_applied_has_not_drifted(
    inputs: dict[str, Any], extra: dict[str, Any]
) -> None:
    live = {**extra, **inputs}
    assert drifted_inputs(inputs, live, copy.deepcopy(live)) == inputs


def test_a_normalised_value_is_no_drift() -> None:
    inputs = {"spec": {"cpu": "1000m", "replicas": 1}}
    wanted = {"spec": {"cpu": "1", "replicas": 1}}
    live = {"spec": {"cpu": "1", "replicas": 2, "other": UNKNOWN}}
    assert drifted_inputs(inputs, wanted, live) == {"spec": {"cpu": "1000m", "replicas": 2}}


def test_named_items_are_followed_by_name() -> None:
    inputs = {"c": [{"name": "a", "v": 1}, {"name": "b", "v": 2}]}
    live = {"c": [{"name": "injected", "v": 9}, {"name": "a", "v": 1}, {"name": "b", "v": 3}]}
    expected = {"c": [{"name": "a", "v": 1}, {"name": "b", "v": 3}]}
    assert drifted_inputs(inputs, inputs, live) == expected


def test_removed_items_and_members_are_missing() -> None:
    inputs = {"c": [{"name": "a"}, {"name": "b"}], "d": {"x": 1, "y": 2}, "e": {"z": 1}}
    live = {"c": [{"name": "b"}], "d": {"x": 1}}
    assert drifted_inputs(inputs, inputs, live) == {"c": [{"name": "b"}], "d": {"x": 1}}


def test_unnamed_items_are_compared_by_place_or_taken_whole() -> None:
    inputs = {"a": ["x", "y"]}
    assert drifted_inputs(inputs, inputs, {"a": ["x", "z"]}) == {"a": ["x", "z"]}
    assert drifted_inputs(inputs, inputs, {"a": ["x"]}) == {"a": ["x"]}


def test_text_data_of_a_secret_is_decoded() -> None:
    def data(text: str) -> dict[str, Any]:
        return {"data": {"p": base64.b64encode(text.encode()).decode()}}

    inputs = {"stringData": {"p": "old", "gone": "x"}}
    wanted = {"data": {**data("old")["data"], "gone": "eA=="}}
    assert drifted_inputs(inputs, wanted, data("new")) == {"stringData": {"p": "new"}}


def test_only_what_was_applied_is_extracted() -> None:
    live = {
        "apiVersion": "v1",
        "kind": "Thing",
        "metadata": {
            "name": "t",
            "namespace": "n",
            "uid": "1",
            "labels": {"a": "1", "b": "2"},
            "managedFields": [
                {
                    "manager": "me",
                    "operation": "Apply",
                    "fieldsV1": {
                        "f:metadata": {"f:labels": {"f:a": {}}},
                        "f:spec": {
                            "f:items": {
                                'k:{"name":"x"}': {".": {}, "f:name": {}, "f:v": {}},
                            },
                            "f:flags": {'v:"on"': {}},
                        },
                    },
                },
                {"manager": "c", "operation": "Update", "fieldsV1": {"f:spec": {"f:other": {}}}},
            ],
        },
        "spec": {
            "items": [{"name": "w", "v": 0}, {"name": "x", "v": 1, "default": True}],
            "flags": ["on", "off"],
            "other": 1,
        },
    }
    assert applied_fields(live) == {
        "apiVersion": "v1",
        "kind": "Thing",
        "metadata": {"name": "t", "namespace": "n", "labels": {"a": "1"}},
        "spec": {"items": [{"name": "x", "v": 1}], "flags": ["on"]},
    }
    live["metadata"]["managedFields"].pop(0)  # type: ignore[index]
    assert applied_fields(live) is None
