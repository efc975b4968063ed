"""One real cluster through its life: use, change, accidents, restart, deletion."""

import datetime
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlops_infra.node import (
    ClusterInfo,
    Health,
    NodeSpec,
    Tools,
    certificates,
    create,
    delete,
    leftovers,
    read,
    restart,
    update,
)
from mlops_infra.node.cgroups import ClusterCgroups
from mlops_infra.node.cluster import tag_images
from mlops_infra.node.config import SOCKET
from mlops_infra.node.errors import ImmutableChangeError
from mlops_infra.node.images import EARLIER_KEPT, NAMESPACE
from mlops_infra.node.layout import StateFolder
from mlops_infra.node.spec import link_name
from tests.cluster.answers import (
    APP,
    NODE_PORT,
    await_true,
    everything_answers,
    fetch,
    processes,
    service_elements,
)
from tests.cluster.conftest import Kubectl

pytestmark = pytest.mark.cluster


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a cluster could leave on the machine, without what belongs to other clusters."""

    mounts: frozenset[str]
    links: frozenset[str]
    routes: frozenset[str]
    rules: str
    cgroups: frozenset[str]
    settings: dict[str, str]

    @classmethod
    def now(cls) -> "Machine":
        def lines(*argv: str) -> list[str]:
            return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split(
                "\n"
            )

        settings = ("net/ipv4/ip_forward", "vm/overcommit_memory", "kernel/panic")
        return cls(
            mounts=frozenset(
                line.split(" ", 4)[4]
                for line in Path("/proc/self/mountinfo").read_text().split("\n")
                if line
            ),
            links=frozenset(line for line in lines("ip", "-o", "link") if ": ml" not in line),
            routes=frozenset(
                line for line in lines("ip", "route", "show", "table", "all") if " ml" not in line
            ),
            rules="\n".join(lines("nft", "list", "ruleset")),
            cgroups=frozenset(
                str(path)
                for path in Path("/sys/fs/cgroup").glob("*/*")
                if path.is_dir() and not path.name.startswith("mlops-")
            ),
            settings={name: Path("/proc/sys", name).read_text() for name in settings},
        )


@pytest.fixture(scope="module")
def before() -> Machine:
    return Machine.now()


@pytest.fixture(scope="module")
def cluster(before: Machine, new_name: Callable[[], str]) -> ClusterInfo:
    assert before.mounts
    return create(NodeSpec(name=new_name()))


@pytest.fixture
def app(cluster: ClusterInfo, busybox: str, kubectl: Callable[[str], Kubectl]) -> Kubectl:
    control = kubectl(cluster.kubeconfig_path)
    control("apply", "-f", "-", stdin=APP.replace("BUSYBOX", busybox))
    control("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    return control


def await_health(name: str, health: Health, *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while (status := read(name)).health is not health:
        assert time.monotonic() < deadline, status.reasons
        time.sleep(0.2)


def held_images(cluster: ClusterInfo) -> set[str]:
    """References of the images that the node holds."""
    tools = Tools.default()
    first = ClusterCgroups.of(cluster.name).first_process()
    argv = ["nsenter", "--mount", "--target", str(first), str(tools.executable("ctr"))]
    argv += [f"--address={SOCKET}", f"--namespace={NAMESPACE}", "images", "list", "--quiet"]
    listed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return set(listed.split())


def test_a_pod_gets_a_volume_names_and_is_reached_from_the_host(
    cluster: ClusterInfo, app: Kubectl, kubectl: Callable[[str], Kubectl]
) -> None:
    assert read(cluster.name).health is Health.HEALTHY
    claim = json.loads(app("get", "pvc", "data", "-o", "json"))
    assert claim["status"]["phase"] == "Bound"
    assert claim["spec"]["storageClassName"] == cluster.storage_class
    node_port = f"{cluster.node_address}:30080"
    assert fetch(node_port, "starts") == "started\n"
    service = app("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    assert fetch(service, "starts") == "started\n"
    assert re.search(r"Name:\s+kubernetes\.default", fetch(node_port, "dns"))
    (file,) = Path(cluster.state_folder, "volumes").glob("*/starts")
    assert file.read_text() == "started\n"


def test_creating_it_again_returns_the_same_cluster_at_once(cluster: ClusterInfo) -> None:
    started = time.monotonic()
    assert create(NodeSpec(name=cluster.name)) == cluster
    assert time.monotonic() - started < 3


def test_the_node_takes_a_reservation_and_an_image_while_it_runs(
    cluster: ClusterInfo, app: Kubectl
) -> None:
    def node() -> dict[str, Any]:
        answer: dict[str, dict[str, Any]] = json.loads(
            app("get", "node", cluster.node_name, "-o", "json")
        )
        return answer["status"]

    def allocatable() -> int:
        return int(node()["allocatable"]["memory"].removesuffix("Ki")) * 1024

    def holds_gateway() -> bool:
        return any("versitygw" in name for image in node()["images"] for name in image["names"])

    first = ClusterCgroups.of(cluster.name).first_process()
    before = allocatable()
    assert not holds_gateway()
    update(NodeSpec(name=cluster.name, reserved_memory="256Mi", images=("versitygw",)))
    await_true(lambda: before - allocatable() == 256 * 2**20)
    # The kubelet tells the API server of a new image with its next report
    await_true(holds_gateway)
    assert ClusterCgroups.of(cluster.name).first_process() == first
    update(NodeSpec(name=cluster.name))
    await_true(lambda: allocatable() == before)


def test_what_cannot_change_in_place_is_refused(cluster: ClusterInfo) -> None:
    with pytest.raises(ImmutableChangeError, match="network"):
        update(NodeSpec(name=cluster.name, network="192.168.0.0/20"))


def test_a_killed_kubelet_is_started_again(cluster: ClusterInfo) -> None:
    cgroups = ClusterCgroups.of(cluster.name)
    old = cgroups.program("kubelet")
    assert old is not None
    os.kill(old, signal.SIGKILL)
    await_true(lambda: cgroups.program("kubelet") not in (None, old))
    await_health(cluster.name, Health.HEALTHY)


def test_kube_proxy_keeps_every_service_when_it_starts_again(
    cluster: ClusterInfo, app: Kubectl, busybox: str
) -> None:
    cgroups = ClusterCgroups.of(cluster.name)
    # The API server's, DNS's two and the app's; the app's port
    await_true(lambda: [len(each) for each in service_elements(cluster.name).values()] == [4, 1])
    before = service_elements(cluster.name)
    for _ in range(2):
        old = cgroups.program("kube-proxy")
        assert old is not None
        os.kill(old, signal.SIGKILL)
        await_true(lambda old=old: cgroups.program("kube-proxy") not in (None, old))
        # Its first full sync, in which it deletes what it takes for left over
        time.sleep(5)
        assert service_elements(cluster.name) == before
    everything_answers(cluster, app, busybox)


def test_services_that_lead_nowhere_are_named_and_repaired(
    cluster: ClusterInfo, app: Kubectl, busybox: str
) -> None:
    first = ClusterCgroups.of(cluster.name).first_process()
    # As version 0.1.0 left a node: without the file, and after kube-proxy's next full sync
    Path(f"/proc/{first}/root/etc/protocols").unlink()
    assert "files of the node" in read(cluster.name).outdated
    flush = ["nft", "flush", "map", "ip", "kube-proxy", "service-ips"]
    subprocess.run(["nsenter", "--net", "--target", str(first), *flush], check=True)
    status = read(cluster.name)
    assert status.health is Health.BROKEN
    assert "no Service is reached: kube-proxy" in status.reasons[0]

    create(NodeSpec(name=cluster.name))

    status = read(cluster.name)
    assert (status.health, status.outdated) == (Health.HEALTHY, ())
    assert ClusterCgroups.of(cluster.name).first_process() == first
    everything_answers(cluster, app, busybox)


def test_an_emptied_chain_of_a_service_is_written_again(
    cluster: ClusterInfo, app: Kubectl, busybox: str
) -> None:
    # As kube-proxy can leave it when it is ended within a second of an endpoint's going and coming
    first = ClusterCgroups.of(cluster.name).first_process()
    nft = ["nsenter", "--net", "--target", str(first), "nft"]
    table = subprocess.run(
        [*nft, "list", "table", "ip", "kube-proxy"], check=True, capture_output=True, text=True
    ).stdout
    (chain,) = set(re.findall(r"chain (service-\S+-default/kubernetes/\S+)", table))
    subprocess.run([*nft, "flush", "chain", "ip", "kube-proxy", chain], check=True)
    assert "no Service is reached: kube-proxy" in read(cluster.name).reasons[0]

    create(NodeSpec(name=cluster.name))

    assert read(cluster.name).health is Health.HEALTHY
    assert ClusterCgroups.of(cluster.name).first_process() == first
    everything_answers(cluster, app, busybox)


def test_certificates_are_renewed_while_the_cluster_runs(
    cluster: ClusterInfo, app: Kubectl, busybox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ClusterCgroups.of(cluster.name).first_process()
    started = fetch(f"{cluster.node_address}:{NODE_PORT}", "starts")
    before = {
        certificate.file: certificate.end
        for certificate in certificates.certificates(StateFolder.of(cluster.name))
    }
    with monkeypatch.context() as patch:
        patch.setattr(certificates, "RENEW_BEFORE", datetime.timedelta(days=400))
        patch.setattr(certificates, "_KUBELET_RENEW_BEFORE", datetime.timedelta(days=400))
        assert "certificates" in read(cluster.name).outdated[0]
        renewed = create(NodeSpec(name=cluster.name))
    assert renewed.kubeconfig != cluster.kubeconfig
    after = certificates.certificates(StateFolder.of(cluster.name))
    assert {certificate.file for certificate in after} == set(before)
    assert all(certificate.end > before[certificate.file] for certificate in after)
    assert read(cluster.name).health is Health.HEALTHY
    assert ClusterCgroups.of(cluster.name).first_process() == first
    everything_answers(cluster, app, busybox)
    # Nothing but the node's own programs was started again
    assert fetch(f"{cluster.node_address}:{NODE_PORT}", "starts") == started


def test_old_versions_of_images_are_removed(cluster: ClusterInfo, busybox: str) -> None:
    old = [f"docker.io/local/busybox:old-{number}" for number in range(5)]
    for name in old:
        tag_images(cluster.name, {busybox: name})
    assert set(old) <= held_images(cluster)
    update(NodeSpec(name=cluster.name))
    held = held_images(cluster)
    assert busybox in held
    assert len(held & set(old)) == EARLIER_KEPT
    update(NodeSpec(name=cluster.name))
    assert held_images(cluster) == held


def test_a_killed_api_server_is_started_again(cluster: ClusterInfo) -> None:
    (old,) = processes(cluster.name, "kube-apiserver")
    os.kill(old, signal.SIGKILL)
    await_health(cluster.name, Health.BROKEN, seconds=10)
    await_health(cluster.name, Health.HEALTHY)
    assert processes(cluster.name, "kube-apiserver") - {old}


def test_after_a_kill_of_its_first_process_it_starts_again_with_its_data(
    cluster: ClusterInfo, app: Kubectl
) -> None:
    cgroups = ClusterCgroups.of(cluster.name)
    first = cgroups.first_process()
    assert first is not None
    # With the certificates that it has now: they may have been renewed
    before = read(cluster.name).info
    os.kill(first, signal.SIGKILL)
    await_health(cluster.name, Health.STOPPED, seconds=10)
    # A reboot also takes what only the kernel remembers
    cgroups.kill()
    cgroups.remove()

    assert restart(cluster.name) == before

    assert read(cluster.name).health is Health.HEALTHY
    node_port = f"{cluster.node_address}:30080"
    assert fetch(node_port, "starts").startswith("started\nstarted\n")
    app("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")


def test_nobody_beside_the_host_is_let_in(cluster: ClusterInfo) -> None:
    first = ClusterCgroups.of(cluster.name).first_process()
    rules = subprocess.run(
        ["nsenter", "--net", "--target", str(first), "nft", "list", "table", "ip", "mlops"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f'iifname "eth0" ip saddr != {cluster.host_address} drop' in rules


@pytest.mark.parametrize("phase", ["image store", "images", "namespaces", "control plane"])
def test_an_interrupted_creation_is_finished_by_the_next_one_or_deleted(
    phase: str, new_name: Callable[[], str]
) -> None:
    name = new_name()
    script = (
        "import sys\n"
        "from mlops_infra.node import NodeSpec, create\n"
        "create(NodeSpec(name=sys.argv[1]), progress=lambda p, s: print(p, flush=True))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, name], stdout=subprocess.PIPE, text=True
    ) as creation:
        assert creation.stdout is not None
        for line in creation.stdout:
            if line.strip() == phase:
                break
        # Into the middle of what follows
        time.sleep(0.15)
        creation.kill()
    assert read(name).health is not Health.HEALTHY
    if phase in ("namespaces", "control plane"):
        create(NodeSpec(name=name))
        assert read(name).health is Health.HEALTHY
    delete(name)
    assert leftovers(name) == ()
    assert read(name).health is Health.ABSENT


def test_two_clusters_live_and_end_side_by_side_and_leave_nothing(
    before: Machine, cluster: ClusterInfo, new_name: Callable[[], str]
) -> None:
    second = create(NodeSpec(name=new_name()))
    assert second.network != cluster.network
    assert read(cluster.name).health is Health.HEALTHY
    delete(second.name)
    assert leftovers(second.name) == ()
    assert read(cluster.name).health is Health.HEALTHY
    # And in the other order
    second = create(NodeSpec(name=second.name))
    first = ClusterCgroups.of(second.name).first_process()
    assert first is not None
    network = Path(f"/proc/{first}/ns/net").readlink()
    delete(cluster.name)
    assert leftovers(cluster.name) == ()
    assert read(second.name).health is Health.HEALTHY

    delete(second.name)
    delete(cluster.name)

    assert Machine.now() == before
    assert leftovers(second.name) == ()
    assert not Path("/sys/class/net", link_name(second.name)).exists()
    spaces = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            spaces.add((process / "ns/net").readlink())
            command_line = (process / "cmdline").read_bytes().decode(errors="replace")
            assert second.name not in command_line
        except OSError:
            continue
    assert network not in spaces
    assert not Path(second.state_folder).exists()
