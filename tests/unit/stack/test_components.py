"""One setting says what a stack has; the switches of release 0.1.0 say the same for now."""

import pytest

from mlops_platform.components import COMPONENTS
from mlops_stack import composition, settings
from mlops_stack.settings import SettingsError
from tests.unit import recording


def test_the_words_are_those_of_the_components() -> None:
    assert {each.NAME for each in COMPONENTS if each.NAME} == set(settings.COMPONENTS)


@pytest.mark.parametrize(
    ("former", "components"),
    [
        ({}, "kubeflow-ui"),
        ({"kubeflowUi": "false"}, "none"),
        ({"servingEngines": "both"}, "kubeflow-ui, kserve, seldon"),
        ({"servingEngines": "seldon", "notebooks": "true"}, "kubeflow-ui,seldon , notebooks"),
        ({"trainingOperator": "true"}, "training-operator, kubeflow-ui"),
    ],
)
def test_the_former_switches_say_the_same(former: dict[str, str], components: str) -> None:
    before, now = settings.parse(former), settings.parse({"components": components})
    assert composition.components(before) == composition.components(now)
    assert now.notice() == ""
    if former:
        notice = before.notice()
        assert all(key in notice for key in former)
        written = notice.partition("`components: ")[2].partition("`")[0]
        assert settings.parse({"components": written}).chosen == now.chosen


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"components": "kserve, triton"}, "no component 'triton'; there are kubeflow-ui, kserve"),
        ({"components": "none, kserve"}, "no component 'none'"),
        (
            {"components": "kserve", "servingEngines": "both", "notebooks": "true"},
            "components says what the stack has, and servingEngines, notebooks too",
        ),
    ],
)
def test_what_says_two_things_is_refused(config: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings.parse(config)


@pytest.mark.parametrize("config", [{"components": "kserve, kubeflow-ui"}, {"notebooks": "true"}])
def test_a_command_may_leave_a_component_out(config: dict[str, str]) -> None:
    found = settings.parse(config)
    assert found.without("kubeflow-ui").chosen == found.chosen - {"kubeflow-ui"}
    recorded = recording.program({"ephemeral": "true", **config, "without": "kubeflow-ui"})
    assert not recorded.of(":KubeflowPipelinesUi")
    assert len(recorded.of(":KubeflowPipelines")) == 1
