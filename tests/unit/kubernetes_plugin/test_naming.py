import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_kubernetes.naming import Autonaming, NameRequiredError, assign_name, automatic_name

BASES = st.from_regex(r"[a-z]([a-z0-9-]{0,80}[a-z0-9])?", fullmatch=True)
SEEDS = st.binary(min_size=1, max_size=32)


@given(BASES, SEEDS)
def test_a_name_is_the_base_and_eight_hex_digits(base: str, seed: bytes) -> None:
    assert re.fullmatch(re.escape(base) + "-[0-9a-f]{8}", automatic_name(base, seed))
    assert automatic_name(base, seed) == automatic_name(base, seed)


@given(BASES, SEEDS)
def test_names_that_are_dns_labels_are_not_too_long(base: str, seed: bytes) -> None:
    assert len(automatic_name(base, seed, "Namespace")) <= 63


@given(BASES, SEEDS, SEEDS)
def test_an_automatic_name_is_kept_and_a_fixed_one_is_not(
    base: str, first: bytes, second: bytes
) -> None:
    made = assign_name({"kind": "Pod"}, {}, base=base, seed=first)
    assert assign_name({"kind": "Pod"}, made, base=base, seed=second) == made
    fixed = {"kind": "Pod", "metadata": {"name": "fixed"}}
    again = assign_name({"kind": "Pod"}, fixed, base=base, seed=second)
    assert again["metadata"]["name"] == automatic_name(base, second)


def test_a_forbidden_automatic_name_says_what_to_do() -> None:
    with pytest.raises(NameRequiredError, match=r"set metadata\.name"):
        assign_name({}, {}, base="x", seed=b"1", autonaming=Autonaming(disabled=True))


def test_given_and_generated_names_are_left_alone() -> None:
    for metadata in ({"name": "n"}, {"generateName": "n-"}):
        inputs = {"metadata": metadata}
        assert assign_name(inputs, {}, base="x", seed=b"1") is inputs
