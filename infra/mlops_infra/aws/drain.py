"""Waits, when a stack goes, until what Kubernetes made in AWS is gone too.

A Service of type LoadBalancer and a volume claim have things of AWS behind them, which only their
controllers delete. If nodes and add-ons went first, those things would stay and be paid for.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, Resource, UpdateResult

from mlops_infra.discreet_provider import DiscreetProvider
from mlops_kubernetes.memory_file import memory_file

_SECONDS = 300
_PAUSE_SECONDS = 2
_REQUEST_SECONDS = 30
_UNREACHABLE = "PULUMI_K8S_DELETE_UNREACHABLE"

_DRIVER = "ebs.csi.aws.com"

Ask = Callable[[str], list[dict[str, Any]]]
"""Returns the objects of a kind, of all namespaces."""


class DrainError(Exception):
    """Something of the cluster is still in AWS; the message names it and the remedy."""


def remaining(ask: Ask) -> list[str]:
    """Return what keeps things of AWS: load balancers and volumes, one line each."""
    services = [
        f"Service {_name(found)}"
        for found in ask("services")
        if found["spec"].get("type") == "LoadBalancer"
    ]
    ingresses = [f"Ingress {_name(found)}" for found in ask("ingresses")]
    volumes = []
    for found in ask("persistentvolumes"):
        if found["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
            claim = found["spec"].get("claimRef") or {}
            owner = f"{claim.get('namespace')}/{claim.get('name')}"
            volumes.append(f"volume {found['metadata']['name']} of claim {owner}")
    return [*services, *ingresses, *volumes]


def released(ask: Ask) -> list[str]:
    """Return the volumes on AWS that no claim has any more, and that stay by their own policy."""
    return [
        found["metadata"]["name"]
        for found in ask("persistentvolumes")
        if found["spec"].get("persistentVolumeReclaimPolicy") == "Retain"
        and (found["spec"].get("csi") or {}).get("driver") == _DRIVER
        and (found.get("status") or {}).get("phase") == "Released"
    ]


def drain(ask: Ask, *, seconds: float = _SECONDS, pause: float = _PAUSE_SECONDS) -> None:
    """Wait until nothing of the cluster is behind in AWS but what is meant to stay.

    Raises:
        DrainError: something is still there when the time is over.
    """
    end = time.monotonic() + seconds
    while left := remaining(ask):
        if time.monotonic() > end:
            raise DrainError(
                f"still in the cluster after {seconds:.0f} s: {', '.join(left)}. Nodes and add-ons "
                "stay, for only they can remove what is behind it in AWS; delete these objects "
                "with kubectl and run `make down` again"
            )
        time.sleep(pause)


def _name(found: dict[str, Any]) -> str:
    return f"{found['metadata']['namespace']}/{found['metadata']['name']}"


def _kubectl(kubeconfig: Path) -> Ask:
    def ask(kind: str) -> list[dict[str, Any]]:
        command = ["kubectl", "--kubeconfig", str(kubeconfig), "get", kind, "--all-namespaces"]
        done = subprocess.run(
            [*command, "--output", "json", f"--request-timeout={_REQUEST_SECONDS}s"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DrainError(
                f"the cluster cannot be asked what is in it: {done.stderr.strip()}. If it is gone "
                f"for good, set {_UNREACHABLE}=true"
            )
        items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
        return items

    return ask


def _release(kubeconfig: Path, volume: str) -> None:
    """Let the driver delete a volume."""
    command = ["kubectl", "--kubeconfig", str(kubeconfig), "patch", "persistentvolume", volume]
    policy = json.dumps({"spec": {"persistentVolumeReclaimPolicy": "Delete"}})
    done = subprocess.run(
        [*command, "--patch", policy, f"--request-timeout={_REQUEST_SECONDS}s"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DrainError(f"volume {volume} cannot be let go: {done.stderr.strip()}")


class DrainProvider(DiscreetProvider):
    """Does nothing until it is deleted, and then waits."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Remember how the cluster is reached."""
        return CreateResult("drain", props)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Remember how the cluster is reached now."""
        return UpdateResult(news)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Wait until load balancers and volumes are gone, unless the cluster is gone for good.

        Volumes of a stack that was lasting once are kept by their own policy: an ephemeral one
        lets them go.

        Raises:
            DrainError: see `drain`.
        """
        # The same variable drops the cluster's objects from the state.
        if os.environ.get(_UNREACHABLE, "").lower() in ("true", "1"):
            return
        with memory_file(props["kubeconfig"]) as file:
            ask = _kubectl(file)
            # A state of before this key had no volumes that stay.
            if props.get("ephemeral"):
                for volume in released(ask):
                    _release(file, volume)
            drain(ask)


@dataclass(frozen=True, kw_only=True)
class DrainArgs:
    """What draining needs.

    Attributes:
        kubeconfig: text of an administrator's kubeconfig, secret.
        ephemeral: whether volumes that claims have left go too.
    """

    kubeconfig: pulumi.Output[str]
    ephemeral: bool


class Drain(Resource, module="mlops", name="Drain"):
    """Stands between the cluster's objects and its controllers when a stack is destroyed."""

    kubeconfig: pulumi.Output[str]

    def __init__(
        self, name: str, args: DrainArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(
            DrainProvider(),
            name,
            {"kubeconfig": args.kubeconfig, "ephemeral": args.ephemeral},
            pulumi.ResourceOptions.merge(
                opts, pulumi.ResourceOptions(additional_secret_outputs=["kubeconfig"])
            ),
        )
