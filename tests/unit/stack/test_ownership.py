"""Whose a stack's cluster is, before a command does anything."""

from pathlib import Path
from typing import Any

import pytest

from mlops_infra import cluster_claim, kind_cluster
from mlops_infra.cluster_claim import Claim
from mlops_infra.node import NodeSpec
from mlops_infra.node.layout import StateFolder
from mlops_infra.node.state import Phase, Record
from mlops_kubernetes.client import ApiError, UnreachableError
from mlops_stack import environment, ownership
from mlops_stack.ownership import OwnershipError
from mlops_toolchain import layout

OTHERS = Claim(
    stack_id="theirs",
    stack="dev",
    backend="file:///home/alice/.state/pulumi",
    checkout="/home/alice",
    host="machine",
)


class Stack:
    """What ownership asks of a stack."""

    name = "dev"

    def __init__(self, *, known_id: str = "", knows: bool = False, **values: Any) -> None:
        self._known_id = known_id
        self._knows = knows
        self._values = values

    def known_id(self) -> str:
        return self._known_id

    def knows(self, _kind: str) -> bool:
        return self._knows

    def values(self) -> dict[str, Any]:
        return self._values

    def provider(self) -> str:
        return str(self._values.get("clusterProvider", "embedded"))


def _check(stack: Stack) -> None:
    ownership.check(stack)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "backend", lambda: "file:///mine")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateFolder:
    monkeypatch.setenv("MLOPS_STATE", str(tmp_path / "clusters"))
    found = StateFolder.of("dev")
    found.path.mkdir(parents=True)
    return found


def _record(
    folder: StateFolder, *, phase: Phase = Phase.READY, owner: str = "", **more: str
) -> None:
    Record(
        spec=NodeSpec(name="dev"),
        network="10.210.0.0/16",
        owner=owner or str(layout.checkout()),
        phase=phase,
        **more,
    ).write(folder)


def test_no_cluster_belongs_to_nobody(folder: StateFolder) -> None:
    _check(Stack())
    _check(Stack(known_id="mine"))


def test_the_stacks_own_cluster_is_let_through_wherever_the_checkout_is(
    folder: StateFolder,
) -> None:
    _record(folder, owner="/where/it/was", stack_id="mine")
    _check(Stack(known_id="mine", knows=True))


@pytest.mark.parametrize(
    "stack",
    [
        # Another checkout or backend with a stack of its own; a backend without one; a checkout
        # that was lost and cloned again.
        Stack(known_id="mine", knows=True),
        Stack(),
    ],
)
def test_another_stacks_cluster_is_refused_with_owner_backend_and_the_two_commands(
    folder: StateFolder, stack: Stack
) -> None:
    _record(folder, stack_id="theirs")
    with pytest.raises(OwnershipError) as refused:
        _check(stack)
    text = str(refused.value)
    assert f"id theirs) of the checkout {layout.checkout()}" in text
    assert "nothing was changed" in text
    assert "its state is in file:///mine" in text
    assert "`make takeover STACK=dev`" in text
    assert "python -m mlops_infra.node down dev`" in text


def test_a_record_without_an_id_is_that_of_the_state_that_knows_the_cluster(
    folder: StateFolder,
) -> None:
    _record(folder)
    _check(Stack(knows=True))
    with pytest.raises(OwnershipError, match="has made no cluster"):
        _check(Stack())


def test_a_record_without_an_id_of_another_checkout_is_refused(folder: StateFolder) -> None:
    _record(folder, owner="/home/alice")
    with pytest.raises(OwnershipError, match="the checkout /home/alice"):
        _check(Stack(knows=True))


def test_a_creation_that_was_interrupted_before_it_held_data_goes_on(folder: StateFolder) -> None:
    _record(folder, phase=Phase.ALLOCATED)
    _check(Stack())


def _existing(tmp_path: Path, **more: Any) -> Stack:
    file = tmp_path / "kubeconfig"
    file.write_text("apiVersion: v1")
    return Stack(clusterProvider="existing", kubeconfig=str(file), **more)


def test_an_existing_cluster_says_itself_whose_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_claim, "read", lambda _text, *, context: OTHERS)
    with pytest.raises(OwnershipError, match=r"file:///home/alice/\.state/pulumi"):
        _check(_existing(tmp_path))
    with pytest.raises(OwnershipError, match="checkout /home/alice on machine"):
        _check(_existing(tmp_path, known_id="mine"))
    _check(_existing(tmp_path, known_id="theirs"))


def test_an_existing_cluster_that_nobody_has_claimed_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_claim, "read", lambda _text, *, context: None)
    _check(_existing(tmp_path))


def test_an_existing_cluster_that_does_not_say_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_text: str, *, context: str) -> None:
        raise ApiError(403, {"message": "configmaps is forbidden"})

    monkeypatch.setattr(cluster_claim, "read", refuse)
    with pytest.raises(OwnershipError, match="does not say whose it is"):
        _check(_existing(tmp_path))


def test_an_existing_cluster_that_does_not_answer_stops_no_preview(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_text: str, *, context: str) -> None:
        raise UnreachableError("no connection")

    monkeypatch.setattr(cluster_claim, "read", fail)
    _check(_existing(tmp_path))


@pytest.mark.parametrize(
    ("label", "stack", "ours"),
    [
        ("mine", Stack(clusterProvider="kind", known_id="mine"), True),
        ("", Stack(clusterProvider="kind", knows=True), True),
        ("", Stack(clusterProvider="kind"), False),
        ("theirs", Stack(clusterProvider="kind", known_id="mine", knows=True), False),
        ("theirs", Stack(clusterProvider="kind"), False),
    ],
)
def test_a_kind_cluster_is_the_stacks_whose_id_its_nodes_bear(
    monkeypatch: pytest.MonkeyPatch, label: str, stack: Stack, *, ours: bool
) -> None:
    found = kind_cluster.Owner(stack_id=label, kubeconfig="")
    monkeypatch.setattr(kind_cluster, "owner", lambda _name: found)
    if ours:
        _check(stack)
        return
    with pytest.raises(OwnershipError, match="kind delete cluster --name dev"):
        _check(stack)
