"""A kind cluster as a Pulumi resource, for a laptop with Docker; the `kind` CLI does the work."""

import ipaddress
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pulumi
from pulumi.dynamic import (
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    UpdateResult,
)

from mlops_infra.cluster import ClusterAccess
from mlops_infra.discreet_provider import DiscreetProvider

_OUTPUTS = ("kubeconfig", "node_address")
_TIMEOUT_SECONDS = 600
_START_SECONDS = 120
_PAUSE_SECONDS = 1
_LABEL: Final = "mlops-platform/stack-id"
_DOCKER_LABEL: Final = "label=io.x-k8s.kind.cluster"


class KindError(Exception):
    """The kind CLI is missing or has failed; the message carries its own words."""


def _kind(*arguments: str, stdin: str | None = None) -> str:
    executable = shutil.which("kind")
    if executable is None:
        raise KindError(
            "kind is not on PATH; install it, or use the embedded cluster with "
            "`pulumi config set clusterProvider embedded`"
        )
    return _run(executable, *arguments, stdin=stdin)


def _run(*command: str, stdin: str | None = None) -> str:
    try:
        result = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
            env=dict(os.environ),
        )
    except FileNotFoundError as error:
        raise KindError(f"{command[0]} is not on PATH; install it, kind needs it") from error
    except subprocess.TimeoutExpired as error:
        raise KindError(
            f"`{' '.join(command)}` did not end within {_TIMEOUT_SECONDS} s; see whether Docker "
            "answers, and run the command again"
        ) from error
    if result.returncode:
        detail = "\n".join(result.stderr.strip().splitlines()[-10:])
        raise KindError(
            f"`{' '.join(command)}` failed with exit code {result.returncode}:\n{detail}"
        )
    return result.stdout


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whose a kind cluster is, as far as it says so.

    Attributes:
        stack_id: id of the stack that made it; empty where a node does not bear one.
        kubeconfig: text of an administrator's kubeconfig; empty while the cluster is stopped.
    """

    stack_id: str
    kubeconfig: str = field(repr=False)


def owner(name: str) -> Owner | None:
    """Return whose a kind cluster is; None when there is none, or no kind.

    Raises:
        KindError: kind or Docker has failed.
    """
    if shutil.which("kind") is None or not _exists(name):
        return None
    if not _node(name)["State"]["Running"]:
        # A Docker label would tell; kind gives its nodes none but its own.
        return Owner(stack_id="", kubeconfig="")
    text = _kind("get", "kubeconfig", "--name", name)
    labels = _kubectl(text, "get", "nodes", "--output", "jsonpath={.items[*].metadata.labels}")
    found = re.search(rf'"{re.escape(_LABEL)}":"([^"]*)"', labels)
    return Owner(stack_id=found[1] if found else "", kubeconfig=text)


def is_gone(name: str) -> bool:
    """Return whether there is no kind cluster of that name.

    Raises:
        KindError: kind is missing, or has failed.
    """
    return not _exists(name)


def _refuse_foreign(name: str, props: dict[str, Any]) -> None:
    """Refuse a running cluster that somebody else made under the name after ours was deleted."""
    ours = props.get("stack_id")
    found = owner(name) if ours else None
    if found is not None and found.kubeconfig and found.stack_id != ours:
        raise _foreign(name)


def _foreign(name: str) -> KindError:
    return KindError(
        f"there is a kind cluster {name} that this stack has not made; choose another name for "
        f"the stack, or delete it with `kind delete cluster --name {name}`"
    )


def _exists(name: str) -> bool:
    return name in _kind("get", "clusters").split()


def _node(name: str) -> dict[str, Any]:
    """Return what Docker says of the control plane's container."""
    found: dict[str, Any] = json.loads(_run("docker", "inspect", f"{name}-control-plane"))[0]
    return found


def _address(node: dict[str, Any]) -> str:
    """Return a container's address, at which a Linux host reaches NodePorts."""
    networks = node["NetworkSettings"]["Networks"]
    return str(ipaddress.ip_address(networks["kind"]["IPAddress"]))


def _kubectl(kubeconfig: str, *words: str) -> str:
    from mlops_kubernetes.memory_file import memory_file  # noqa: PLC0415
    from mlops_toolchain import layout  # noqa: PLC0415

    with memory_file(kubeconfig) as file:
        program = str(layout.bin_dir() / "kubectl")
        return _run(program, "--kubeconfig", str(file), "--request-timeout=10s", *words)


def _started(name: str) -> None:
    """Start the containers of a stopped cluster, and wait until its API answers.

    Raises:
        KindError: it does not.
    """
    nodes = _run("docker", "ps", "--all", "--quiet", "--filter", f"{_DOCKER_LABEL}={name}").split()
    _run("docker", "start", *nodes)
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            text = _kind("get", "kubeconfig", "--name", name)
            _kubectl(text, "get", "--raw", "/readyz")
        except KindError as error:
            if time.monotonic() > end:
                raise KindError(
                    f"cluster {name} was started, and does not answer after {_START_SECONDS} s: "
                    f"{error}"
                ) from error
            time.sleep(_PAUSE_SECONDS)
        else:
            return


class KindClusterProvider(DiscreetProvider):
    """Creates, starts, reads and deletes one kind cluster, and loads images into it."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Create the cluster, or go on with what an interrupted run of this stack left of it.

        Raises:
            KindError: kind failed, or somebody else has a cluster of that name.
        """
        name = props["name"]
        found = owner(name)
        if found is None:
            node = {"role": "control-plane", "labels": {_LABEL: props["stack_id"]}}
            config = {
                "kind": "Cluster",
                "apiVersion": "kind.x-k8s.io/v1alpha4",
                "nodes": [node],
            }
            # Without a file of its own, kind writes the user's, and switches its context.
            with tempfile.TemporaryDirectory() as folder:
                _kind(
                    "create", "cluster", "--name", name, "--config", "-", "--wait", "120s",
                    "--kubeconfig", str(Path(folder, "kubeconfig")),
                    stdin=json.dumps(config),
                )  # fmt: skip
        elif found.stack_id != props["stack_id"]:
            raise _foreign(name)
        return CreateResult(name, self._loaded(props))

    def diff(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Replace for another name or when the cluster is gone; start it, or load other images."""
        gone = not _exists(id_)
        # What the stack had in a cluster that is gone is gone as well.
        replaces = ["name"] if gone or olds["name"] != news["name"] else []
        moved = False
        if not replaces:
            _refuse_foreign(id_, olds)
            node = _node(id_)
            # After a restart of Docker it may have another address.
            moved = not node["State"]["Running"] or _address(node) != olds["node_address"]
        changed = olds.get("stack_id") != news["stack_id"]
        # They are in the node or not, in whatever order.
        changed |= sorted(olds.get("images", [])) != sorted(news["images"])
        return DiffResult(
            changes=bool(replaces) or moved or changed,
            replaces=replaces,
            # With another address everything that names it changes.
            stables=[] if moved else list(_OUTPUTS),
            # The old one of the same name must be forgotten before the new one is made.
            delete_before_replace=True,
        )

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Start the cluster if it has stopped, and load the images."""
        outs = self._loaded(news)
        if not olds.get("stack_id"):
            # Version 0.1.0 gave its clusters no id.
            label = f"{_LABEL}={news['stack_id']}"
            _kubectl(outs["kubeconfig"], "label", "nodes", "--all", "--overwrite", label)
        return UpdateResult(outs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the cluster; an absent one gives an empty id, which drops it from state."""
        if not _exists(id_):
            return ReadResult("", {})
        node = _node(id_)
        if node["State"]["Running"]:
            props = {**props, "node_address": _address(node)}
        return ReadResult(id_, props)

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        """Delete the cluster, if it is this stack's; kind itself accepts one that is gone."""
        _refuse_foreign(id_, props)
        # Without a file of its own, kind takes the cluster out of the user's.
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "kubeconfig")
            _kind("delete", "cluster", "--name", id_, "--kubeconfig", str(file))

    @staticmethod
    def _loaded(props: dict[str, Any]) -> dict[str, Any]:
        # The archives are looked up where the work is done, so that no path enters the state.
        from mlops_toolchain import images  # noqa: PLC0415

        name = props["name"]
        if not _node(name)["State"]["Running"]:
            _started(name)
        for reference in props["images"]:
            _kind("load", "image-archive", str(images.archive(reference)), "--name", name)
        return {
            **props,
            "kubeconfig": _kind("get", "kubeconfig", "--name", name),
            "node_address": _address(_node(name)),
        }


@dataclass(frozen=True, kw_only=True)
class KindClusterArgs:
    """What a kind cluster needs.

    Attributes:
        name: its name.
        stack_id: id of the stack that it belongs to.
        images: references of the toolchain's images to load into it.
    """

    name: str
    stack_id: str
    images: tuple[str, ...]


class KindCluster(Resource, module="mlops", name="KindCluster"):
    """A cluster run by kind.

    Attributes:
        kubeconfig: text of an administrator's kubeconfig, secret.
        node_address: address of the node's container.
    """

    kubeconfig: pulumi.Output[str]
    node_address: pulumi.Output[str]

    def __init__(
        self, name: str, args: KindClusterArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        outputs: dict[str, None] = dict.fromkeys(_OUTPUTS)
        super().__init__(
            KindClusterProvider(),
            name,
            {**vars(args), "images": list(args.images), **outputs},
            pulumi.ResourceOptions.merge(
                opts, pulumi.ResourceOptions(additional_secret_outputs=["kubeconfig"])
            ),
        )

    def access(self) -> ClusterAccess:
        """Return how the other layers reach this cluster."""
        return ClusterAccess(
            kubeconfig=self.kubeconfig,
            node_address=self.node_address,
            context=None,
            owned=self,
        )
