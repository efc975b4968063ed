"""Settings: what is refused, by which words, and that Pulumi.yaml says the same."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flight_pipeline.compile import COMPILED
from flight_pipeline.settings import IMAGE
from mlops_stack import project_file, settings
from mlops_stack.settings import Settings, SettingsError
from tests.unit.conftest import CHECKOUT


def test_pulumi_yaml_is_what_the_settings_say() -> None:
    text = (CHECKOUT / "Pulumi.yaml").read_text()
    assert project_file.written(text) == text
    declared = {k: v for k, v in yaml.safe_load(text)["config"].items() if ":" not in k}
    assert set(declared) == set(settings.keys())
    assert all(v["description"] for v in declared.values())
    # What anybody writes there is written over, and the rest of the file stays.
    other = text.replace("default: embedded", "default: kind").replace(
        "license:", "# mine\nlicense:"
    )
    assert project_file.written(other) == text.replace("license:", "# mine\nlicense:")
    with pytest.raises(ValueError, match="lacks the line"):
        project_file.written("name: other\n")


def test_an_unknown_key_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(SettingsError) as error:
        settings.parse({"clusterProvidor": "kind"})
    assert "clusterProvidor" in str(error.value)
    assert all(key in str(error.value) for key in settings.keys())  # noqa: SIM118 - a function


def test_a_pipeline_of_other_code_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.check_compiled()
    stale = tmp_path / "pipeline.yaml"
    stale.write_text(COMPILED.read_text().replace(IMAGE, "old:1"))
    monkeypatch.setattr(settings, "COMPILED", stale)
    with pytest.raises(SettingsError, match=r"pipeline\.yaml .* run `make pipeline`"):
        settings.check_compiled()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"clusterProvider": "minikube"}, "'embedded', 'kind', 'existing' or 'eks'"),
        ({"clusterProvider": "existing"}, "needs kubeconfig, imageRegistry"),
        ({"kubeconfig": "x"}, "belong to clusterProvider existing"),
        ({"imageRegistry": "registry.example.org"}, "imageRegistry belong to clusterProvider"),
        ({"storageClass": "gp3"}, "no storageClass 'gp3': remove it, or write local-path"),
        (
            {
                "clusterProvider": "eks",
                "owner": "a@example.org",
                "imageRegistry": "r.example.org",
                "servingEngines": "both",
            },
            "kserve, seldon: model servers find no credentials for S3 on eks yet",
        ),
        ({"clusterNetwork": "8.8.0.0/16"}, "private network"),
        ({"clusterNetwork": "10.0.0.0/24"}, "/16 to /20"),
        ({"clusterNetwork": "here"}, "write auto or for example"),
        ({"predictionLogRate": "1.5"}, "a share from 0 to 1"),
        ({"predictionLogRate": "all"}, "a share from 0 to 1"),
        ({"servingEngines": "triton"}, "'none', 'kserve', 'seldon' or 'both'"),
        ({"trainingMonths": "12"}, "between 1 and 11"),
        ({"trainingMonths": "5-2"}, "between 1 and 11"),
        ({"objectStorageSize": "10 GB"}, "not a Kubernetes quantity"),
        ({"artifactExpiryDays": "-1"}, "greater than or equal to 0"),
        ({"artifactExpiryDays": "30", "layers": "infra"}, "does nothing without MLflow"),
        ({"ephemeral": "perhaps"}, "valid boolean"),
        ({"clusterNetwork": "127.1.0.0/16"}, "private network"),
        ({"clusterNetwork": "10.0.0.0/8"}, "/16 to /20"),
        ({"objectStorageSize": "1Gi\n"}, "not a Kubernetes quantity"),
        ({"trainingMonths": "٣"}, "between 1 and 11"),
        ({"kubernetesVersion": "latest"}, "kubernetesVersion: String should match"),
        ({"modelName": "../x"}, "modelName: String should match"),
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


_VALID = {
    "kubernetesVersion": st.just("auto")
    | st.from_regex(r"1\.[0-9]{1,2}\.[0-9]{1,2}", fullmatch=True),
    "clusterNetwork": st.one_of(
        st.just("auto"),
        st.builds("10.{}.{}.0/{}".format, st.integers(0, 255), st.just(0), st.integers(16, 20)),
    ),
    "clusterReservedMemory": st.builds("{}{}".format, st.integers(0), st.sampled_from(["Mi", "G"])),
    "storageClass": st.sampled_from(["", "local-path"]),
    "ephemeral": st.sampled_from(["true", "false"]),
    "artifactExpiryDays": st.integers(0).map(str),
    "trainingMonths": st.integers(1, 11).map(str),
    "modelName": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}", fullmatch=True),
}


@given(st.fixed_dictionaries({}, optional=_VALID))
def test_every_valid_value_comes_back_as_it_was(values: dict[str, str]) -> None:
    found = settings.parse(values).model_dump(by_alias=True, mode="json")
    defaults = Settings().model_dump(by_alias=True, mode="json")
    texts = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in found.items()}
    assert {k: texts[k] for k in values} == values
    assert {k: v for k, v in found.items() if k not in values} == {
        k: v for k, v in defaults.items() if k not in values
    }


@given(st.text(min_size=1))
def test_any_other_key_is_refused(key: str) -> None:
    if key in settings.keys():  # noqa: SIM118 - a function
        return
    with pytest.raises(SettingsError, match="unknown configuration"):
        settings.parse({key: "x"})


def test_a_netmask_is_the_same_network() -> None:
    found = settings.parse({"clusterNetwork": "10.210.0.0/255.255.0.0"})
    assert found.cluster_network == "10.210.0.0/16"
