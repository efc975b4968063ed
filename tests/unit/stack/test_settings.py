"""Settings: what is refused, by which words, and that Pulumi.yaml says the same."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic.alias_generators import to_camel

from mlops_stack import settings
from mlops_stack.settings import Settings, SettingsError
from tests.unit.conftest import CHECKOUT


def test_defaults_are_what_pulumi_yaml_declares() -> None:
    project = yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text())
    declared = {k: v for k, v in project["config"].items() if ":" not in k}
    types = {str: "string", int: "integer", bool: "boolean"}
    expected = {
        to_camel(name): (types[type(field.default)], field.default)
        for name, field in Settings.model_fields.items()
    }
    assert {k: (v["type"], v["default"]) for k, v in declared.items()} == expected
    assert all(v["description"] for v in declared.values())


def test_an_unknown_key_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(SettingsError) as error:
        settings.parse({"clusterProvidor": "kind"})
    assert "clusterProvidor" in str(error.value)
    assert all(key in str(error.value) for key in settings)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"clusterProvider": "minikube"}, "'embedded', 'kind' or 'existing'"),
        ({"clusterProvider": "existing"}, "needs kubeconfig, imageRegistry"),
        ({"kubeconfig": "x"}, "belong to clusterProvider existing"),
        ({"clusterNetwork": "8.8.0.0/16"}, "private network"),
        ({"clusterNetwork": "10.0.0.0/24"}, "/16 to /20"),
        ({"clusterNetwork": "here"}, "write auto or for example"),
        ({"trainingMonths": "12"}, "between 1 and 11"),
        ({"trainingMonths": "5-2"}, "between 1 and 11"),
        ({"objectStorageSize": "10 GB"}, "not a Kubernetes quantity"),
        ({"artifactExpiryDays": "-1"}, "greater than or equal to 0"),
        ({"ephemeral": "perhaps"}, "valid boolean"),
    ],
)
def test_a_wrong_value_names_key_and_remedy(values: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        settings.parse(values)


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"(?s)clusterNetwork.*trainingMonths"):
        settings.parse({"clusterNetwork": "x", "trainingMonths": "0"})


@given(first=st.integers(1, 11), length=st.integers(0, 10))
def test_every_range_of_months_with_a_successor_is_accepted(first: int, length: int) -> None:
    last = min(first + length, 11)
    assert settings.parse({"trainingMonths": f"{first}-{last}"}).training_months


@given(st.text(max_size=50))
def test_a_stack_name_is_a_node_name_or_is_refused(name: str) -> None:
    try:
        accepted = settings.check_stack_name(name)
    except SettingsError as error:
        assert "lower-case letters" in str(error)
    else:
        assert accepted[0].isalpha()
        assert accepted == accepted.lower()
        assert len(accepted) <= 40
