import dataclasses
import json
from pathlib import Path

import pytest

from mlops_infra.node import cluster
from mlops_infra.node.errors import (
    BusyError,
    InvalidSpecError,
    NodeError,
    NoSuchClusterError,
    OwnerError,
)
from mlops_infra.node.layout import StateFolder, Tools
from mlops_infra.node.leftovers import mounts_below
from mlops_infra.node.lock import is_locked, locked
from mlops_infra.node.spec import NodeSpec
from mlops_infra.node.state import Phase, Record, cluster_names, other_networks, read_record

# Not a name that a cluster of this machine could have: reading and deleting look at real cgroups
NAME = "unit-test-never-booted"
SPEC = NodeSpec(name=NAME, reserved_memory="1Gi", images=("mlflow", "flights"))
RECORD = Record(spec=SPEC, network="10.211.0.0/16", owner="/src", phase=Phase.READY)
TOOLS = Tools(
    bin_dir=Path("/nowhere"),
    cni_dir=Path("/nowhere"),
    image_dir=Path("/nowhere"),
    cache=Path("/nowhere"),
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "clusters"
    monkeypatch.setenv("MLOPS_STATE", str(root))
    return root


def write(record: Record) -> StateFolder:
    folder = StateFolder.of(record.spec.name)
    folder.path.mkdir(parents=True)
    record.write(folder)
    return folder


def test_a_record_is_read_as_it_was_written() -> None:
    assert read_record(write(RECORD)) == RECORD


def test_no_folder_no_record() -> None:
    assert read_record(StateFolder.of(NAME)) is None
    assert cluster_names() == ()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"spec": {}, "phase": "ready"}', '{"spec": {"name": "dev"}}']
)
def test_a_damaged_record_is_an_error_with_the_way_out(text: str) -> None:
    folder = write(RECORD)
    folder.record.write_text(text)
    with pytest.raises(NodeError, match=f"mlops_infra\\.node down {NAME}"):
        read_record(folder)
    status = cluster.read(NAME)
    assert status.health is cluster.Health.BROKEN
    assert "damaged" in status.reasons[0]


def test_other_clusters_networks_leave_out_the_own_one(state: Path) -> None:
    write(RECORD)
    other = Record(
        spec=NodeSpec(name="test"), network="10.212.0.0/16", owner="", phase=Phase.ALLOCATED
    )
    write(other)
    (state / ".deleting-old-12345678").mkdir()
    (state / "half-made").mkdir()
    assert cluster_names() == ("half-made", "test", NAME)
    assert other_networks(StateFolder.of(NAME)) == {"test": "10.212.0.0/16"}


def test_read_tells_absent_half_made_and_stopped_apart() -> None:
    assert cluster.read(NAME).health is cluster.Health.ABSENT
    folder = StateFolder.of(NAME)
    folder.path.mkdir(parents=True)
    assert cluster.read(NAME).health is cluster.Health.BROKEN
    RECORD.at(Phase.ALLOCATED).write(folder)
    status = cluster.read(NAME)
    assert status.health is cluster.Health.BROKEN
    assert "interrupted" in status.reasons[0]
    RECORD.write(folder)
    folder.kubernetes.mkdir()
    folder.kubeconfig.write_text("administrator")
    status = cluster.read(NAME)
    assert status.health is cluster.Health.STOPPED
    assert status.spec == SPEC
    assert status.info is not None
    assert status.info.node_address == "10.211.255.254"
    # The administrator's key is never shown by accident
    assert "administrator" not in repr(status)


def test_a_cluster_of_another_checkout_is_refused() -> None:
    folder = write(RECORD)
    refused = pytest.raises(OwnerError, match="belongs to the checkout /src")
    with refused:
        cluster.create(SPEC, owner="/other", tools=TOOLS)
    with refused:
        cluster.update(SPEC, owner="/other", tools=TOOLS)
    with refused:
        cluster.delete(NAME, owner="/other")
    assert read_record(folder) == RECORD


def test_a_cluster_of_another_stack_is_refused_whatever_its_checkout() -> None:
    folder = write(dataclasses.replace(RECORD, stack_id="one", phase=Phase.ALLOCATED))
    refused = pytest.raises(OwnerError, match=r"another stack of the checkout /src .*one.*two")
    with refused:
        cluster.create(SPEC, owner="/src", stack_id="two", tools=TOOLS)
    with refused:
        cluster.delete(NAME, owner="/src", stack_id="two")
    assert folder.record.exists()
    assert cluster.read(NAME).owner == "/src"
    assert cluster.read(NAME).stack_id == "one"
    # The stack whose checkout has moved
    cluster.delete(NAME, owner="/moved", stack_id="one")
    assert not folder.path.exists()


@pytest.mark.parametrize(
    ("theirs", "mine", "belongs"),
    [
        (("/src", ""), ("/src", "one"), True),  # a record of 0.1.0
        (("/src", ""), ("/other", "one"), False),
        (("/src", "one"), ("/src", ""), True),
        (("/src", "one"), ("/other", "one"), True),
        (("/src", "one"), ("/src", "two"), False),
        (("/src", "one"), ("", ""), True),  # by hand
        (("", ""), ("/src", "one"), True),  # made by hand
    ],
)
def test_whose_a_cluster_is(
    theirs: tuple[str, str], mine: tuple[str, str], *, belongs: bool
) -> None:
    record = dataclasses.replace(RECORD, owner=theirs[0], stack_id=theirs[1])
    assert record.belongs_to(owner=mine[0], stack_id=mine[1]) is belongs


def test_a_record_of_version_0_1_0_is_read_and_gets_its_stack() -> None:
    folder = write(RECORD)
    content = json.loads(folder.record.read_text())
    del content["stack_id"]
    folder.record.write_text(json.dumps(content))
    record = read_record(folder)
    assert record == RECORD
    assert record.owned_by(owner="/src", stack_id="one").stack_id == "one"


def test_by_hand_any_cluster_is_deleted() -> None:
    folder = write(RECORD)
    cluster.delete(NAME)
    assert not folder.path.exists()


def test_only_an_existing_cluster_can_be_restarted() -> None:
    with pytest.raises(NoSuchClusterError, match="create it first"):
        cluster.restart(NAME, tools=TOOLS)


def test_deleting_what_never_was_does_nothing(state: Path) -> None:
    cluster.delete(NAME)
    assert not state.exists()


def test_delete_takes_no_name_that_leads_elsewhere() -> None:
    with pytest.raises(InvalidSpecError):
        cluster.delete("../../etc")


def test_a_lock_is_held_once_and_its_file_removed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path, wait=0, what="cluster dev", remove=True):
        assert is_locked(path)
        with (
            pytest.raises(BusyError, match="working on cluster dev"),
            locked(path, wait=0.1, what="cluster dev"),
        ):
            pass
    assert not path.exists()
    assert not is_locked(path)


def test_mounts_below_the_clusters_folder_have_an_owner() -> None:
    text = (
        "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
        "2 1 0:9 / /state/clusters rw - tmpfs tmpfs rw\n"
        "3 2 0:9 / /state/clusters/dev/root rw - tmpfs tmpfs rw\n"
        "4 2 0:9 / /state/clusters/.deleting-my-test-0a1b2c3d/root rw - tmpfs tmpfs rw\n"
        "5 1 0:9 / /state/clusters-not rw - tmpfs tmpfs rw\n"
    )
    assert mounts_below(text, Path("/state/clusters")) == {
        "/state/clusters/dev/root": "dev",
        "/state/clusters/.deleting-my-test-0a1b2c3d/root": "my-test",
    }


def test_the_record_holds_no_secret() -> None:
    content = json.loads(write(RECORD).record.read_text())
    assert set(content) == {"spec", "network", "owner", "phase", "stack_id"}
