"""Names of objects: made from the seed, kept, and given anew to replacements."""

import re

import pytest
from pulumi.runtime.proto import provider_pb2

from mlops_kubernetes.values import Properties
from tests.conformance.conftest import Make
from tests.conformance.manifests import CONFIG_MAP, config_map
from tests.conformance.protocol import CheckFailedError

NOTHING = Properties(value={})


def test_an_unnamed_object_is_named_after_the_resource_and_eight_hex_digits(make: Make) -> None:
    checked = make(CONFIG_MAP, "settings").check(config_map("default"))
    assert re.fullmatch(r"settings-[0-9a-f]{8}", checked.value["metadata"]["name"])
    assert checked.value["metadata"]["annotations"]["pulumi.com/autonamed"] == "true"


def test_the_same_seed_gives_the_same_name(make: Make) -> None:
    resource = make(CONFIG_MAP, "settings")
    one, two, other = (
        resource.check(config_map("default"), seed=seed)
        for seed in (b"a" * 32, b"a" * 32, b"b" * 32)
    )
    assert one.value == two.value
    assert one.value["metadata"]["name"] != other.value["metadata"]["name"]


def test_a_later_check_keeps_the_name_and_a_replacement_gets_another(make: Make) -> None:
    resource = make(CONFIG_MAP, "settings")
    first = resource.check(config_map("default"))
    again = resource.check(config_map("default", other="x"), olds=first)
    replacement = resource.check(config_map("default"), olds=NOTHING)
    assert again.value["metadata"]["name"] == first.value["metadata"]["name"]
    assert replacement.value["metadata"]["name"] != first.value["metadata"]["name"]


def test_a_given_name_is_taken_as_it_is(make: Make) -> None:
    checked = make(CONFIG_MAP).check(config_map("default", "fixed"))
    assert checked.value == config_map("default", "fixed")


def test_the_stack_may_propose_or_forbid_automatic_names(make: Make) -> None:
    options = provider_pb2.CheckRequest.AutonamingOptions
    resource = make(CONFIG_MAP, "settings")
    proposed = options(proposed_name="dev-settings", mode=options.PROPOSE)
    checked = resource.check(config_map("default"), autonaming=proposed)
    assert checked.value["metadata"]["name"] == "dev-settings"
    with pytest.raises(CheckFailedError):
        resource.check(config_map("default"), autonaming=options(mode=options.DISABLE))
