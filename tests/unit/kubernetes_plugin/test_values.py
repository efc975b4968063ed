import math
from typing import Any

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from mlops_kubernetes.paths import PropertyPath, parse
from mlops_kubernetes.values import (
    UNKNOWN,
    ResourceReference,
    UnsupportedValueError,
    contains_unknown,
    decode,
    encode,
    inexact_integers,
    without_nulls,
)

KEYS = st.text(min_size=1, max_size=8).filter(lambda key: not key.startswith("4dabf"))
EXACT = st.integers(-(2**53), 2**53)
SCALARS = st.none() | st.booleans() | EXACT | st.text(max_size=12) | st.just(UNKNOWN)
VALUES = st.recursive(
    SCALARS | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not x.is_integer()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)


def paths_of(value: Any, path: PropertyPath = PropertyPath()) -> list[PropertyPath]:  # noqa: B008
    found = [path] if path.parts else []
    members = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else ()
    for key, member in [*members, *items]:
        found += paths_of(member, path.child(key))
    return found


@given(OBJECTS)
def test_what_is_written_is_read_back(value: dict[str, Any]) -> None:
    assert decode(encode(value)).value == value


@given(OBJECTS, st.data())
def test_secrets_are_read_back_where_they_were_marked(
    value: dict[str, Any], data: st.DataObject
) -> None:
    candidates = paths_of(value)
    marked = data.draw(st.sets(st.sampled_from(candidates))) if candidates else set()
    read = decode(encode(value, marked))
    assert read.value == value
    assert read.secrets == marked


def test_whole_numbers_are_integers_and_others_are_not() -> None:
    value = decode(encode({"a": 3, "b": 3.5, "c": True})).value
    assert value == {"a": 3, "b": 3.5, "c": True}
    assert [type(value[key]) for key in "abc"] == [int, float, bool]


def test_integers_that_floats_cannot_carry_are_found() -> None:
    value = {"fine": 2**53, "big": [2**53 + 1], "flag": True}
    assert list(inexact_integers(value)) == [PropertyPath(("big", 0))]


def test_outputs_are_unwrapped_with_their_dependencies() -> None:
    struct = struct_pb2.Struct()
    struct.update(
        {
            "known": {
                "4dabf18193072939515e22adb298388d": "d0e6a833031e9bbcd3f4e8bde6ca49a4",
                "value": "x",
                "secret": True,
                "dependencies": ["urn:a"],
            },
            "unknown": {"4dabf18193072939515e22adb298388d": "d0e6a833031e9bbcd3f4e8bde6ca49a4"},
        }
    )
    read = decode(struct)
    assert read.value == {"known": "x", "unknown": UNKNOWN}
    assert read.secrets == {PropertyPath(("known",))}
    assert read.dependencies == {"urn:a"}


def test_resource_references_survive() -> None:
    reference = ResourceReference(urn="urn:x", id="a/b")
    assert decode(encode({"r": [reference]})).value == {"r": [reference]}


def test_an_archive_is_refused_with_its_path() -> None:
    struct = struct_pb2.Struct()
    struct.update({"a": {"4dabf18193072939515e22adb298388d": "0def7320c3a5731c473e5ecbe6d01bc7"}})
    with pytest.raises(UnsupportedValueError, match=r"^a is an archive"):
        decode(struct)


@given(VALUES)
def test_without_nulls_leaves_no_null_members(value: Any) -> None:
    def null_members(found: Any) -> bool:
        if isinstance(found, dict):
            return any(v is None or null_members(v) for v in found.values())
        return isinstance(found, list) and any(map(null_members, found))

    assert not null_members(without_nulls(value))
    assert contains_unknown(without_nulls(value)) == contains_unknown(value)


def test_secret_texts_are_collected_from_below_the_marked_paths() -> None:
    read = decode(encode({"a": {"b": ["x", 1]}, "c": "y"}, [PropertyPath(("a",))]))
    assert read.secret_texts() == {"x"}
    assert math.isclose(read.value["a"]["b"][1], 1)


PARTS = st.integers(0, 50) | st.text(
    st.characters(exclude_characters='*"\\', exclude_categories=["Cs"]), min_size=1, max_size=10
)


@given(st.lists(PARTS, min_size=1, max_size=6).map(tuple))
def test_a_printed_path_is_read_back(parts: tuple[str | int, ...]) -> None:
    path = PropertyPath(parts)
    assert parse(str(path)) == path


def test_wildcards_stand_for_what_is_there() -> None:
    value = {"c": [{"e": 1}, {"e": 2}], "m": {"x": 1}}
    assert [str(p) for p in parse("c[*].e").expand(value)] == ["c[0].e", "c[1].e"]
    assert [str(p) for p in parse("m.*").expand(value)] == ["m.x"]
