"""What happens to a node only after an hour, a day or a year, in minutes.

Every program of the node is killed once, one after the other; certificates live six minutes; logs
grow past their bound. After each step every Service is asked by address, port and name, and a Pod
gets a volume. What has no period that could be shortened is covered by what starts it: kube-proxy's
full sync comes with its start as it comes with each hour. The clock is the machine's: it is not
moved.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlops_infra.node import (
    ClusterInfo,
    Health,
    NodeSpec,
    certificates,
    create,
    read,
    restart,
)
from mlops_infra.node import config as node_config
from mlops_infra.node.cgroups import ClusterCgroups
from mlops_infra.node.layout import StateFolder
from mlops_infra.node.supervisor import LOG_LIMIT
from tests.cluster.answers import (
    APP,
    await_true,
    everything_answers,
    processes,
    service_elements,
)
from tests.cluster.conftest import Kubectl

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

LIFE = 6 * 60
SUPERVISED = ("containerd", "kubelet", "kube-proxy")
IN_PODS = (
    "etcd",
    "kube-apiserver",
    "kube-controller",
    "kube-scheduler",
    "coredns",
    "local-path-prov",
)


@pytest.fixture(scope="module")
def short_lives() -> Iterator[None]:
    """Certificates of six minutes, and etcd compacted every half a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificates, "VALIDITY", f"{LIFE // 60}m")
        plain = node_config.kubeadm

        def kubeadm(node: node_config.NodeConfig) -> str:
            argument = "- name: profiling\n      value: 'false'\n    - name: goaway-chance"
            text = plain(node)
            assert argument in text
            compaction = "- name: etcd-compaction-interval\n      value: 30s\n    "
            return text.replace(argument, compaction + argument)

        patch.setattr(node_config, "kubeadm", kubeadm)
        yield


@pytest.fixture(scope="module")
def born() -> float:
    return time.time()


@pytest.fixture(scope="module")
def cluster(short_lives: None, born: float, new_name: Callable[[], str]) -> ClusterInfo:
    return create(NodeSpec(name=new_name()))


@pytest.fixture(scope="module")
def control(cluster: ClusterInfo, busybox: str) -> Kubectl:
    found = Kubectl(Path(cluster.kubeconfig_path))
    found("apply", "-f", "-", stdin=APP.replace("BUSYBOX", busybox))
    found("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    return found


@pytest.mark.parametrize("program", [*SUPERVISED, *IN_PODS])
def test_after_the_end_of_each_program_everything_answers(
    cluster: ClusterInfo, control: Kubectl, busybox: str, program: str
) -> None:
    before = service_elements(cluster.name)
    old = processes(cluster.name, program)
    assert old
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    await_true(lambda: bool(processes(cluster.name, program) - old), seconds=60)
    await_true(lambda: read(cluster.name).health is Health.HEALTHY, seconds=120)
    # Its first look at everything, as a watch that starts anew has it
    time.sleep(3)
    assert service_elements(cluster.name) == before
    everything_answers(cluster, control, busybox)


def test_logs_of_programs_and_containers_are_bounded(
    cluster: ClusterInfo, control: Kubectl, busybox: str
) -> None:
    logs = Path(cluster.state_folder, "log")
    for program in ("containerd", "supervisor"):
        with (logs / f"{program}.log").open("a") as log:
            log.write("soak\n" * (LOG_LIMIT // 5 + 1))
    chatty = ["run", "chatty", f"--image={busybox}", "--image-pull-policy=Never", "--restart=Never"]
    talk = "yes 0123456789012345678901234567890123456789 | head -c 40000000; sleep 600"
    control(*chatty, "--", "sh", "-c", talk)
    for program in ("containerd", "supervisor"):
        log = logs / f"{program}.log"
        await_true(lambda log=log: log.stat().st_size < LOG_LIMIT, seconds=40)
        assert log.with_suffix(".log.1").stat().st_size >= LOG_LIMIT
    # Two files of 5 MiB, and what comes between two looks of the kubelet
    written = Path(cluster.state_folder, "pod-logs")
    await_true(lambda: bool(list(written.glob("default_chatty_*/chatty/0.log.*"))), seconds=60)
    assert len(list(written.glob("default_chatty_*/chatty/0.log*"))) <= 3
    control("delete", "pod", "chatty", "--grace-period=0", "--force")
    everything_answers(cluster, control, busybox)


def test_the_kubelet_renews_its_own_certificate(cluster: ClusterInfo, control: Kubectl) -> None:
    current = Path(cluster.state_folder, "kubelet/pki/kubelet-client-current.pem")
    first = min(current.parent.glob("kubelet-client-2*.pem"))
    # Between 70 and 90 % of its life
    await_true(lambda: current.readlink().name != first.name, seconds=LIFE)
    requests = control("get", "csr", "-o", "jsonpath={.items[*].status.conditions[*].type}")
    assert set(requests.split()) == {"Approved"}


def test_certificates_that_have_ended_are_renewed_by_the_next_up(
    cluster: ClusterInfo, control: Kubectl, busybox: str, born: float
) -> None:
    time.sleep(max(0.0, born + LIFE + 20 - time.time()))
    status = read(cluster.name)
    assert status.health is Health.BROKEN
    assert "certificates ended" in status.reasons[0]
    first = ClusterCgroups.of(cluster.name).first_process()

    renewed = create(NodeSpec(name=cluster.name))

    assert renewed.kubeconfig != cluster.kubeconfig
    assert read(cluster.name).health is Health.HEALTHY
    assert ClusterCgroups.of(cluster.name).first_process() == first
    everything_answers(cluster, control, busybox)


def test_a_node_that_was_off_while_its_certificates_ended_starts_again(
    cluster: ClusterInfo, control: Kubectl, busybox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "VALIDITY", "2m")
    create(NodeSpec(name=cluster.name))
    first = ClusterCgroups.of(cluster.name).first_process()
    assert first is not None
    os.kill(first, signal.SIGKILL)
    end = certificates.first_end(StateFolder.of(cluster.name))
    assert end is not None
    time.sleep(max(0.0, end.timestamp() + 2 - time.time()))
    monkeypatch.undo()

    restart(cluster.name)

    assert read(cluster.name).health is Health.HEALTHY
    everything_answers(cluster, control, busybox)
