"""A kind cluster as a Pulumi resource, for a laptop with Docker; the `kind` CLI does the work."""

import ipaddress
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi.dynamic import (
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

from mlops_infra.cluster import ClusterAccess

_OUTPUTS = ("kubeconfig", "node_address")
_TIMEOUT_SECONDS = 600


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


def _node_address(name: str) -> str:
    """Return the control plane container's address, at which a Linux host reaches NodePorts."""
    text = _run("docker", "inspect", f"{name}-control-plane")
    networks = json.loads(text)[0]["NetworkSettings"]["Networks"]
    return str(ipaddress.ip_address(networks["kind"]["IPAddress"]))


class KindClusterProvider(ResourceProvider):
    """Creates, reads and deletes one kind cluster and loads the project's images into it."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Create the cluster; one of the same name that is already there is adopted."""
        name = props["name"]
        if name not in _kind("get", "clusters").split():
            config = {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4"}
            _kind(
                "create", "cluster", "--name", name, "--config", "-", "--wait", "120s",
                stdin=json.dumps(config),
            )  # fmt: skip
        return CreateResult(name, self._loaded(props))

    def diff(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Replace for another name or when the cluster is gone, update for other images."""
        gone = id_ not in _kind("get", "clusters").split()
        # What the stack had in a cluster that is gone is gone as well.
        replaces = ["name"] if gone or olds["name"] != news["name"] else []
        return DiffResult(
            changes=bool(replaces) or olds["images"] != news["images"],
            replaces=replaces,
            # The old one of the same name must be forgotten before the new one is made.
            delete_before_replace=True,
        )

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Load the images."""
        return UpdateResult(self._loaded(news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the cluster; an absent one gives an empty id, which drops it from state."""
        if id_ not in _kind("get", "clusters").split():
            return ReadResult("", {})
        return ReadResult(id_, props)

    def delete(self, id_: str, _props: dict[str, Any]) -> None:
        """Delete the cluster; kind itself accepts one that is gone."""
        _kind("delete", "cluster", "--name", id_)

    @staticmethod
    def _loaded(props: dict[str, Any]) -> dict[str, Any]:
        # The archives are looked up where the work is done, so that no path enters the state.
        from mlops_toolchain import images  # noqa: PLC0415

        name = props["name"]
        for reference in props["images"]:
            _kind("load", "image-archive", str(images.archive(reference)), "--name", name)
        return {
            **props,
            "kubeconfig": _kind("get", "kubeconfig", "--name", name),
            "node_address": _node_address(name),
        }


@dataclass(frozen=True, kw_only=True)
class KindClusterArgs:
    """What a kind cluster needs.

    Attributes:
        name: its name.
        images: references of the toolchain's images to load into it.
    """

    name: str
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
            {"name": args.name, "images": list(args.images), **outputs},
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
