"""What docs/adding-a-component.md says, done: one file and two lines."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pulumi
import pytest

import mlops_platform
from mlops_platform import components
from mlops_stack import composition, settings
from mlops_stack.outputs import StackOutputs
from mlops_toolchain import images, layout
from tests.unit import recording
from tests.unit.conftest import CHECKOUT

BLOCKS = re.findall(
    r"```(?:python)?\n(.*?)```", (CHECKOUT / "docs/adding-a-component.md").read_text(), re.DOTALL
)
MODULE = "mlops_platform.greeting"
pytestmark = pytest.mark.skipif(
    not layout.manifests_dir().exists(),
    reason="the program reads upstream's manifests: run `make toolchain`",
)


@pytest.fixture
def greeting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The page's file beside the other components."""
    (tmp_path / "greeting.py").write_text(BLOCKS[0])
    monkeypatch.setattr(mlops_platform, "__path__", [*mlops_platform.__path__, str(tmp_path)])
    from mlops_platform import greeting  # type: ignore[attr-defined]  # noqa: PLC0415

    yield greeting
    sys.modules.pop(MODULE)
    del mlops_platform.greeting  # type: ignore[attr-defined]


def test_a_component_is_a_file_and_two_lines(
    greeting: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, line, wired = BLOCKS
    assert line.strip() == "Greeting,"
    busybox = images.reference("busybox")
    (before,) = recording.program({"ephemeral": "true"}).of("mlops:EmbeddedCluster")
    assert busybox not in before.inputs["images"]
    added = (*components.COMPONENTS, greeting.Greeting)
    monkeypatch.setattr(composition, "COMPONENTS", added)
    program = (CHECKOUT / "__main__.py").read_text()
    place = "    platform = Platform("
    assert program.count(place) == 1
    imported = "from mlops_platform.greeting import Greeting, GreetingArgs\n"
    main = tmp_path / "__main__.py"
    main.write_text(imported + program.replace(place, wired + place))
    told: dict[str, object] = {}

    def export(name: str, value: object) -> None:
        pulumi.Output.from_input(value).apply(lambda known: told.update({name: known}))

    monkeypatch.setattr(pulumi, "export", export)
    recorded = recording.program({"ephemeral": "true"}, main)

    # The cluster is given the image, which a stack without it does not need.
    (node,) = recorded.of("mlops:EmbeddedCluster")
    assert busybox in node.inputs["images"]
    on_aws = {"clusterProvider": "eks", "owner": "a@example.org", "imageRegistry": "r.example.org"}
    assert "busybox" in composition.images(settings.parse(on_aws))
    # What users are told, and what the status asks.
    endpoint = StackOutputs.read(told).endpoints[-1]
    assert (endpoint.name, endpoint.url) == ("Greeting", "http://10.210.255.254:30000")
    assert endpoint.health == "/"
    # It keeps the rules of every Pod.
    pod = recorded.named("greeting-server").inputs["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["image"] == busybox
