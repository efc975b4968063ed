"""An update that is killed, at ten points in turn, is completed by the next one.

What runs is what `make up` runs, on a program of ten objects; each has an automatic name, so that
one which the state never heard of could be made again beside itself.
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from mlops_kubernetes import VERSION
from mlops_toolchain import layout
from tests.conformance.cluster import Cluster
from tests.conformance.test_engine import pytestmark as needs_programs

pytestmark = needs_programs

PATHS = ("configmaps", "secrets", "serviceaccounts", "services")
POINTS = 10
PROGRAM = """
import pulumi
import pulumi_kubernetes as k8s

from mlops_infra.stack_identity import StackIdentity

config = pulumi.Config()
identity = StackIdentity("identity", stack_id=config.require("stackId"))

def signed(args):
    props = {**args.props, "stackId": config.require("stackId")}
    return pulumi.ResourceTransformationResult(props, args.opts)

provider = k8s.Provider(
    "cluster", opts=pulumi.ResourceOptions(depends_on=[identity], transformations=[signed])
)
last = None

def following(count):
    # One after the other, so that every point is another state.
    return {
        "metadata": {"namespace": "NAMESPACE", "labels": {"run": "RUN", "count": str(count)}},
        "opts": pulumi.ResourceOptions(provider=provider, depends_on=[last] if last else []),
    }

for count in range(COUNT):
    match count % 4:
        case 0:
            last = k8s.core.v1.ConfigMap(f"conf-{count}", data={"a": "b"}, **following(count))
        case 1:
            last = k8s.core.v1.Secret(f"key-{count}", string_data={"a": "b"}, **following(count))
        case 2:
            last = k8s.core.v1.ServiceAccount(f"account-{count}", **following(count))
        case _:
            spec = {"ports": [{"port": 80}]}
            last = k8s.core.v1.Service(f"service-{count}", spec=spec, **following(count))
"""
COMMAND = """
import sys
from pathlib import Path

from mlops_stack.pulumi_cli import Stack
from mlops_toolchain import layout

# After the imports, which look into the real one.
layout.checkout = lambda: Path(sys.argv[1])
stack = Stack("killed")
stack.ensure()
stack.run(*sys.argv[2:])
"""


class Checkout:
    """A checkout with the small program."""

    def __init__(self, folder: Path, plugin: list[str], cluster: Cluster, namespace: str) -> None:
        self.folder, self.cluster, self.namespace = folder, cluster, namespace
        self.run_id = secrets.token_hex(4)
        (folder / ".venv").symlink_to(Path(sys.prefix))
        (folder / ".toolchain").symlink_to(layout.view())
        (folder / "Pulumi.yaml").write_text(
            json.dumps({"name": "mlops-platform", "runtime": "python"})
        )
        (folder / "__main__.py").write_text(
            PROGRAM.replace("NAMESPACE", namespace)
            .replace("RUN", self.run_id)
            .replace("COUNT", str(POINTS))
        )
        place = folder / ".state/home/plugins" / f"resource-kubernetes-v{VERSION}"
        place.mkdir(parents=True)
        launcher = place / "pulumi-resource-kubernetes"
        quoted = " ".join(f"'{part}'" for part in plugin)
        launcher.write_text(f'#!/bin/sh\nexec {quoted} "$@"\n')
        launcher.chmod(0o755)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        # In a session of its own, so that whatever the command starts is killed with it.
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, str(self.folder), *arguments],
            env={**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig)},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, *arguments: str) -> None:
        process = self.start(*arguments)
        text, _ = process.communicate(timeout=300)
        assert process.returncode == 0, text

    def kill_when(self, count: int) -> None:
        """Start an update, and kill it as soon as there are so many objects."""
        process = self.start("up", "--yes", "--skip-preview")
        deadline = time.monotonic() + 180
        while len(self.objects()) < count:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        _kill_session(process.pid)
        process.communicate()

    def objects(self) -> list[str]:
        """Return which of the program's objects there are, each as often as there is one."""
        return sorted(
            item["metadata"]["labels"]["count"]
            for path in PATHS
            for item in self.cluster.items(
                f"/api/v1/namespaces/{self.namespace}/{path}?labelSelector=run%3D{self.run_id}"
            )
        )


def _kill_session(leader: int) -> None:
    """Kill all processes of a session: Pulumi gives its plugins groups of their own."""
    while living := list(_members(leader)):
        for process in living:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.05)


def _members(leader: int) -> Iterator[int]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            # What follows the program's name, which may hold blanks.
            state, _parent, _group, session, *_ = stat.read_text().rpartition(")")[2].split()
            if int(session) == leader and state != "Z":
                yield int(stat.parent.name)


def test_the_update_after_ten_that_were_killed_has_every_object_once(
    tmp_path: Path, plugin_command: list[str], cluster: Cluster, namespace: str
) -> None:
    checkout = Checkout(tmp_path, plugin_command, cluster, namespace)
    for count in range(1, POINTS + 1):
        checkout.kill_when(count)
    checkout.finish("up", "--yes", "--skip-preview")
    assert checkout.objects() == sorted(str(count) for count in range(POINTS))
    checkout.finish("preview", "--expect-no-changes")
    checkout.finish("destroy", "--yes", "--skip-preview")
    assert checkout.objects() == []
