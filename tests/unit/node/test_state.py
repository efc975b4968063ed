import dataclasses
import json
from pathlib import Path

import pytest

from mlops_infra.node import cluster, config
from mlops_infra.node.cgroups import ClusterCgroups
from mlops_infra.node.errors import (
    BusyError,
    InvalidSpecError,
    NodeError,
    NoSuchClusterError,
    OwnerError,
    PreflightError,
    RecordError,
)
from mlops_infra.node.images import BaseImages
from mlops_infra.node.layout import StateFolder, Tools
from mlops_infra.node.leftovers import mounts_below
from mlops_infra.node.lock import is_locked, locked
from mlops_infra.node.spec import NodeSpec, parse_memory
from mlops_infra.node.state import Phase, Record, cluster_names, other_networks, read_record

# Not a name that a cluster of this machine could have: reading and deleting look at real cgroups
NAME = "unit-test-never-booted"
SPEC = NodeSpec(name=NAME, reserved_memory="1Gi", images=("mlflow", "flights"))
RECORD = Record(spec=SPEC, network="10.211.0.0/16", owner="/src", phase=Phase.READY)
IMAGES = BaseImages(
    apiserver="registry.k8s.io/kube-apiserver:v1.34.4",
    etcd="registry.k8s.io/etcd:3.6.13",
    pause="p",
    coredns="c",
    provisioner="l",
    busybox="b",
)
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


def lose_record(record: Record = RECORD) -> StateFolder:
    """A cluster with data whose state.json is gone."""
    folder = write(record)
    (folder.etcd / "member").mkdir(parents=True)
    (folder.volumes / "pvc-1").mkdir(parents=True)
    (folder.volumes / "pvc-1/object").write_text("data")
    folder.record.unlink()
    return folder


def write_configuration(folder: StateFolder) -> None:
    node = config.NodeConfig(
        spec=SPEC,
        subnets=RECORD.subnets,
        state=folder,
        images=IMAGES,
        executables={},
        bin_dir=Path("/nowhere"),
        cni_dir=Path("/nowhere"),
        visible=(),
        cgroup_root="/mlops-test",
        cgroup_leaves=(),
    )
    folder.node_config.mkdir()
    (folder.node_config / "kubeadm.yaml").write_text(config.kubeadm(node))


def test_a_folder_with_data_and_no_record_is_refused_by_name() -> None:
    folder = lose_record()
    refused = pytest.raises(
        RecordError, match=rf"{folder.path} holds a cluster's data.*node adopt {NAME}.*down {NAME}"
    )
    with refused:
        cluster.create(SPEC, owner="/src", tools=TOOLS)
    with refused:
        cluster.update(SPEC, owner="/src", tools=TOOLS)
    with refused:
        cluster.restart(NAME, tools=TOOLS)
    with refused:
        cluster.delete(NAME, owner="/src")
    assert (folder.volumes / "pvc-1/object").read_text() == "data"
    status = cluster.read(NAME)
    assert status.health is cluster.Health.BROKEN
    assert "holds a cluster's data" in status.reasons[0]
    # Who names it by hand means it
    cluster.delete(NAME)
    assert not folder.path.exists()


@pytest.mark.parametrize("part", ["etcd/member", "volumes/pvc-1"])
def test_either_objects_or_volumes_are_data(part: str) -> None:
    folder = StateFolder.of(NAME)
    (folder.path / part).mkdir(parents=True)
    with pytest.raises(RecordError):
        cluster.create(SPEC, owner="/src", tools=TOOLS)
    assert (folder.path / part).exists()


def test_preflight_comes_before_what_is_half_made_is_removed() -> None:
    folder = write(RECORD.at(Phase.ALLOCATED))
    with pytest.raises(PreflightError, match="nothing was changed"):
        cluster.create(SPEC, owner="/src", tools=TOOLS)
    assert folder.record.exists()


def test_a_damaged_record_is_not_deleted_by_a_stack() -> None:
    folder = write(RECORD)
    folder.record.write_text("{")
    with pytest.raises(RecordError, match=f"node adopt {NAME}"):
        cluster.delete(NAME, owner="/src")
    assert folder.record.exists()


@pytest.mark.parametrize("damage", [None, "{"])
def test_a_cluster_that_lost_its_record_is_adopted_with_its_data(damage: str | None) -> None:
    folder = lose_record()
    write_configuration(folder)
    if damage:
        folder.record.write_text(damage)
    cluster.adopt(NAME, owner="/src")
    record = read_record(folder)
    assert record is not None
    assert record.network == RECORD.network
    assert record.owner == "/src"
    assert record.phase is Phase.INITIALISED
    assert record.spec.kubernetes_version == SPEC.kubernetes_version
    assert parse_memory(record.spec.reserved_memory) == 2**30
    assert (folder.volumes / "pvc-1/object").read_text() == "data"


def test_adopting_takes_a_cluster_from_its_owner_and_stack() -> None:
    folder = write(dataclasses.replace(RECORD, stack_id="one"))
    cluster.adopt(NAME, owner="/other")
    record = read_record(folder)
    assert record == dataclasses.replace(RECORD, owner="/other", stack_id="")
    assert record.belongs_to(owner="/other", stack_id="two")


def test_what_tells_nothing_cannot_be_adopted() -> None:
    lose_record()
    with pytest.raises(RecordError, match="does not tell what it was"):
        cluster.adopt(NAME, owner="/src")
    with pytest.raises(NoSuchClusterError):
        cluster.adopt("unit-test-never-there", owner="/src")


def test_a_cluster_that_runs_from_another_state_folder_is_left_alone(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Path("/data/clusters") / NAME
    monkeypatch.setattr(ClusterCgroups, "folder", lambda _: elsewhere)
    refused = pytest.raises(OwnerError, match="set MLOPS_STATE=/data/clusters")
    with refused:
        cluster.create(SPEC, owner="/src", tools=TOOLS)
    with refused:
        cluster.restart(NAME, tools=TOOLS)
    state.mkdir(exist_ok=True)
    with refused:
        cluster.delete(NAME)
    status = cluster.read(NAME)
    assert status.health is cluster.Health.BROKEN
    assert "MLOPS_STATE=/data/clusters" in status.reasons[0]


def test_a_neighbours_damaged_record_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    folder = write(RECORD)
    write_configuration(folder)
    folder.record.write_text("{")
    mine = StateFolder.of("mine")
    assert other_networks(mine) == {NAME: RECORD.network}
    assert f"{folder.record} is damaged" in caplog.text
    # Nothing tells its network: while it runs, the machine's routes do
    (folder.node_config / "kubeadm.yaml").unlink()
    assert other_networks(mine) == {}
    assert cluster_names() == (NAME,)


def test_the_folder_above_the_users_own_state_folder_stays(state: Path) -> None:
    write(RECORD)
    cluster.delete(NAME, owner="/src")
    assert state.parent.is_dir()


def test_a_lost_kubeconfig_is_named() -> None:
    folder = write(RECORD)
    status = cluster.read(NAME)
    assert status.health is cluster.Health.BROKEN
    assert "admin.conf is gone" in status.reasons[0]
    with pytest.raises(RecordError, match=r"admin\.conf is gone"):
        cluster.create(SPEC, owner="/src", tools=TOOLS)
    assert folder.record.exists()


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
    assert set(content) == {
        *("spec", "network", "owner", "phase"),
        *("stack_id", "addons", "earlier_images"),
    }
