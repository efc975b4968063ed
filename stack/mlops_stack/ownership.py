"""Whose a stack's cluster is, compared before a command does anything.

The stack's id decides, which its state holds (docs/decisions/0018). A cluster that bears another
one, or that this stack's state does not know, belongs to somebody else: another checkout, another
backend, or a state that is lost.
"""

import dataclasses
import socket
from typing import Final

import pulumi

from mlops_infra import cluster_claim, kind_cluster
from mlops_infra.cluster_claim import Claim
from mlops_infra.existing_cluster import KubeconfigError, text_of
from mlops_infra.node import cluster
from mlops_infra.node.layout import StateFolder
from mlops_infra.node.state import Phase, Record, read_record
from mlops_kubernetes.client import ApiError, UnreachableError
from mlops_kubernetes.kubeconfig import KubeconfigError as UnusableError
from mlops_kubernetes.operations import NO_STACK_ID
from mlops_stack import environment, report, settings
from mlops_stack.pulumi_cli import FORMER_TAG, ID_TAG, Stack
from mlops_toolchain import layout

_EMBEDDED: Final = "pulumi-python:dynamic/mlops:EmbeddedCluster"
_KIND: Final = "pulumi-python:dynamic/mlops:KindCluster"


class OwnershipError(Exception):
    """The stack's cluster belongs to somebody else; nothing was changed."""


def claim_of_program() -> Claim:
    """Return the claim of the running program's stack.

    A plain `pulumi` command is told nothing: the state is asked, as `make` does it.
    """
    name = pulumi.get_stack()
    given = settings.from_command("stackId")
    return _claim(
        name, given or Stack(name).stack_id(), former_id=settings.from_command("formerStackId")
    )


def claim_of(stack: Stack) -> Claim:
    """Return what a cluster of the stack bears."""
    return _claim(stack.name, stack.stack_id())


def check(stack: Stack) -> None:
    """Refuse to work on a stack whose cluster belongs to somebody else.

    Raises:
        OwnershipError: it does; nothing was changed.
        NodeError: the record of its embedded cluster is damaged.
        PulumiError: the backend does not answer.
    """
    match stack.provider():
        case "existing":
            _check_existing(stack)
        case "kind":
            _check_kind(stack)
        case "eks":
            _check_eks(stack)
        case _:
            _check_embedded(stack)


def take_over(stack: Stack) -> None:
    """Give the cluster of the stack's name to this checkout's stack.

    The stack that had it is refused from then on.

    Raises:
        OwnershipError: there is no such cluster, or none that can be taken over.
        NodeError: an embedded cluster cannot be started.
        PulumiError: the backend does not answer.
    """
    provider, claim = stack.provider(), claim_of(stack)
    context = ""
    match provider:
        case "embedded":
            kubeconfig = _embedded_kubeconfig(stack)
        case "kind":
            kubeconfig = _kind_kubeconfig(stack)
        case "existing":
            values = stack.values()
            context = str(values.get("kubeContext", ""))
            kubeconfig = text_of(str(values.get("kubeconfig", "")))
        case _:
            raise OwnershipError(
                f"what stack {stack.name} has in AWS cannot be taken over; bring back its state, "
                "with `pulumi stack import` if there is an export"
            )
    former = _read(kubeconfig, context=context)
    if former is not None and former.stack_id == stack.known_id():
        report.plain(f"✓ cluster {stack.name} is this stack's already")
        return
    former_id = former.stack_id if former else NO_STACK_ID
    stack.ensure()
    stack.set_tag(ID_TAG, claim.stack_id)
    stack.set_tag(FORMER_TAG, former_id)
    claim = dataclasses.replace(claim, former_id=former_id)
    if provider == "embedded":
        folder = StateFolder.of(stack.name)
        record = read_record(folder)
        if record is not None:
            record.owned_by(owner=claim.checkout, stack_id=claim.stack_id).write(folder)
    cluster_claim.write(kubeconfig, claim, context=context, takeover=True)
    report.plain(f"cluster {stack.name} belongs to {claim}; its objects follow with `make up`")


def _embedded_kubeconfig(stack: Stack) -> str:
    status = cluster.read(stack.name)
    if status.info is None:
        raise OwnershipError(f"there is no cluster {stack.name} with data on this machine")
    if status.health is not cluster.Health.HEALTHY:
        with report.phase(f"starting cluster {stack.name}"):
            return cluster.restart(stack.name).kubeconfig
    return status.info.kubeconfig


def _kind_kubeconfig(stack: Stack) -> str:
    owner = kind_cluster.owner(stack.name)
    if owner is None or not owner.kubeconfig:
        raise OwnershipError(f"there is no kind cluster {stack.name} that runs")
    return owner.kubeconfig


def _claim(name: str, stack_id: str, former_id: str = "") -> Claim:
    return Claim(
        stack_id=stack_id,
        stack=name,
        backend=environment.backend(),
        checkout=str(layout.checkout()),
        host=socket.gethostname(),
        former_id=former_id,
    )


def _check_embedded(stack: Stack) -> None:
    record = read_record(StateFolder.of(stack.name))
    if record is None or _is_ours(stack, record):
        return
    raise OwnershipError(
        _refusal(
            stack,
            _owner(stack, record),
            f"`.venv/bin/python -m mlops_infra.node down {stack.name}`",
        )
    )


def _is_ours(stack: Stack, record: Record) -> bool:
    if record.stack_id:
        return record.stack_id == stack.known_id()
    # A record of version 0.1.0: only a state that knows the cluster has made it.
    ours = record.owner == str(layout.checkout())
    return ours and (stack.knows(_EMBEDDED) or record.phase is Phase.ALLOCATED)


def _owner(stack: Stack, record: Record) -> str:
    """Return whose an embedded cluster is, as exactly as it can be told."""
    folder = StateFolder.of(stack.name)
    try:
        claim = _read(folder.kubeconfig.read_text())
    except OSError:
        claim = None
    if claim is not None and claim.stack_id == record.stack_id:
        return str(claim)
    whose = f"the checkout {record.owner or '(unknown)'} on this machine"
    return f"another stack (id {record.stack_id}) of {whose}" if record.stack_id else whose


def _check_existing(stack: Stack) -> None:
    values = stack.values()
    context = str(values.get("kubeContext", ""))
    try:
        text = text_of(str(values.get("kubeconfig", "")))
    except KubeconfigError:
        return  # The program says it, with its remedy.
    claim = _read(text, context=context)
    if claim is not None and claim.stack_id != stack.known_id():
        raise OwnershipError(_refusal(stack, str(claim), "`make down` where its state is"))


def _check_kind(stack: Stack) -> None:
    owner = kind_cluster.owner(stack.name)
    if owner is None or (owner.stack_id and owner.stack_id == stack.known_id()):
        return
    # A cluster of version 0.1.0 bears nothing: only a state that knows it has made it.
    if not owner.stack_id and stack.knows(_KIND):
        return
    whose = f"another stack (id {owner.stack_id})" if owner.stack_id else "nobody's stack"
    claim = _read(owner.kubeconfig) if owner.kubeconfig else None
    raise OwnershipError(
        _refusal(stack, str(claim or whose), f"`kind delete cluster --name {stack.name}`")
    )


def _check_eks(stack: Stack) -> None:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    # Imported here: only stacks on AWS need its SDK.
    from mlops_stack.aws_leftovers import cluster_stack_id  # noqa: PLC0415

    try:
        found = cluster_stack_id(stack.name, stack.aws_region() or "")
    except (BotoCoreError, ClientError):
        return  # A preview needs no credentials, and nothing else gets far without them.
    if found and found != stack.known_id():
        raise OwnershipError(
            _refusal(stack, f"another stack (id {found})", "`make down` where its state is")
        )


def _read(kubeconfig: str, *, context: str = "") -> Claim | None:
    """Return the claim in a cluster; None where none is, or where the cluster does not answer."""
    try:
        return cluster_claim.read(kubeconfig, context=context)
    except (UnreachableError, UnusableError):
        return None
    except ApiError as error:
        raise OwnershipError(
            f"the cluster does not say whose it is ({error}); nothing was changed. Its user needs "
            "to read ConfigMaps in kube-system"
        ) from error


def _refusal(stack: Stack, owner: str, delete: str) -> str:
    known = stack.known_id()
    mine = f"has the id {known}" if known else "has made no cluster"
    return (
        f"cluster {stack.name} belongs to {owner}; nothing was changed. This checkout's stack "
        f"{stack.name} {mine}, and its state is in {environment.backend()}. Work where the "
        "cluster's own state is, or bring that state back; to take the cluster over: "
        f"`make takeover STACK={stack.name}`; to delete it with its data: {delete}"
    )
