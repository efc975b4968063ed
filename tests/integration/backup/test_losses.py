"""What goes with a stack is named before it is destroyed."""

import pytest

from mlops_stack.backup import losses
from mlops_stack.backup.policy import Keep
from tests.integration.backup.conftest import World

_HOME = (
    "urn:pulumi:pr-1::p::mlops:workloads:Notebook$kubernetes:core/v1:PersistentVolumeClaim::"
    "notebook-home"
)


@pytest.fixture
def with_home(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    home = {
        "type": "kubernetes:core/v1:PersistentVolumeClaim",
        "urn": _HOME,
        "outputs": {"metadata": {"name": "notebook-home-1"}},
    }
    monkeypatch.setattr(World, "resources", lambda _: [home])
    # Nobody listens there, and it says so at once.
    world.kubeflow_url = "http://127.0.0.1:1"
    return world


@pytest.mark.parametrize("what", ["none", "models"])
def test_what_is_not_kept_is_named(
    with_home: World, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with_home.s3.put_object(Bucket="pipelines", Key="x", Body=bytes(3 << 20))
    keep = None if what == "none" else Keep(what=what, folder=with_home.folder / "kept")
    losses.tell(with_home.stack, keep)
    told = capsys.readouterr().out
    assert told.startswith("not kept, and destroyed with the stack:\n")
    assert "bucket pipelines: 1 objects, 3 MiB" in told
    assert "a notebook's home: claim notebook-home-1" in told
    assert "what Kubeflow may hold, which does not answer" in told
    assert ("bucket models: 1 objects" in told) == (what == "none")
    assert "KEEP=all keeps it" in told


def test_nothing_is_said_when_everything_is_kept(
    with_home: World, capsys: pytest.CaptureFixture[str]
) -> None:
    losses.tell(with_home.stack, Keep(what="all", folder=with_home.folder))
    assert capsys.readouterr().out == ""
