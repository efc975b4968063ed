import copy
from typing import Any

from hypothesis import given

from mlops_kubernetes import immutable
from mlops_kubernetes.diff import Change, Policy, compare, difference
from mlops_kubernetes.kinds import Kind
from mlops_kubernetes.paths import PropertyPath, parse
from tests.unit.kubernetes_plugin.test_values import OBJECTS

POLICY = Policy(default_namespace="default")


def claim(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "default"},
        "spec": spec,
    }


def replayed(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the old value with every reported change made to it."""
    result = copy.deepcopy(old)
    # From the end, so that the places of list items stay what they are.
    for path, change, _ in reversed(list(compare(old, new))):
        parent, last = PropertyPath(path.parts[:-1]).get(result), path.parts[-1]
        if change is Change.DELETE:
            del parent[last]
        elif change is Change.UPDATE or isinstance(parent, dict):
            parent[last] = path.get(new)
    for path, change, _ in compare(old, new):
        parent = PropertyPath(path.parts[:-1]).get(result)
        if change is Change.ADD and isinstance(parent, list):
            parent.append(path.get(new))
    return result


@given(OBJECTS)
def test_a_value_does_not_differ_from_itself_unless_it_is_unknown(value: dict[str, Any]) -> None:
    assert all(added is path.get(value) for path, _, added in compare(value, value))
    known = {k: v for k, v in value.items() if not list(compare({k: v}, {k: v}))}
    assert not list(compare(known, copy.deepcopy(known)))


@given(OBJECTS, OBJECTS)
def test_the_reported_changes_lead_from_the_old_value_to_the_new(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    assert replayed(old, new) == new


def test_true_is_not_one() -> None:
    assert list(compare({"a": True}, {"a": 1}))
    assert not list(compare({"a": 1}, {"a": 1.0}))


def test_a_claim_may_grow_in_place_but_not_change_its_class() -> None:
    old = claim(storageClassName="a", resources={"requests": {"storage": "1Gi"}})
    grown = claim(storageClassName="a", resources={"requests": {"storage": "2Gi"}})
    moved = claim(storageClassName="b", resources={"requests": {"storage": "1Gi"}})
    assert not difference(old, grown, old, POLICY).replaces
    assert difference(old, moved, old, POLICY).replaces == [parse("spec.storageClassName")]


def test_adding_a_block_replaces_only_if_an_immutable_field_is_inside() -> None:
    old = claim(storageClassName="a")
    requests = claim(storageClassName="a", resources={"requests": {"storage": "1Gi"}})
    limits = claim(storageClassName="a", resources={"limits": {"storage": "1Gi"}})
    assert not difference(old, requests, old, POLICY).replaces
    assert difference(old, limits, old, POLICY).replaces


def test_leaving_out_the_default_namespace_is_no_move() -> None:
    old = claim()
    new = copy.deepcopy(old)
    del new["metadata"]["namespace"]
    assert not difference(old, new, old, POLICY).changes
    elsewhere = Policy(default_namespace="elsewhere")
    assert difference(old, new, old, elsewhere).replaces == [parse("metadata.namespace")]


def test_another_version_of_the_group_updates_and_another_group_replaces() -> None:
    def crd(api_version: str) -> dict[str, Any]:
        return {"apiVersion": api_version, "kind": "Widget", "metadata": {"name": "w"}}

    old = crd("a.example/v1beta1")
    assert not difference(old, crd("a.example/v1"), old, POLICY).replaces
    assert difference(old, crd("b.example/v1"), old, POLICY).replaces


def test_an_immutable_config_map_is_replaced_whatever_the_provider_allows() -> None:
    old = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "default"},
        "data": {"a": "1"},
        "immutable": True,
    }
    new = {**old, "data": {"a": "2"}}
    mutable = Policy(config_map_mutable=True)
    assert difference(old, new, old, mutable).replaces
    loose = {**old, "immutable": False}
    assert not difference(loose, {**loose, "data": {}}, loose, mutable).replaces


def test_a_container_added_to_a_pod_replaces_it_and_a_new_image_does_not() -> None:
    fields = immutable.fields(Kind("v1", "Pod"))
    assert immutable.covers(fields, parse("spec.containers[1].name"))
    assert immutable.covers(fields, parse("spec.volumes[0].name"))
    assert not immutable.covers(fields, parse("spec.containers[0].image"))
