"""Lasting stacks (`ephemeral: false`) lose nothing unasked.

What holds data is protected in Pulumi's state. An update is planned first, and refused when it
would replace or delete such a resource, unless the user has named it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import pulumi

from mlops_stack import settings
from mlops_stack.pulumi_cli import Stack
from mlops_stack.review.data_at_risk import is_cluster, is_stateful
from mlops_stack.review.plan import Change, Operation, Plan

EVERYTHING: Final = "*"
"""In place of a resource's name: all of them, for a plan that shows what would be lost."""

# Namespaces with claims; the others hold what the next update makes again.
_NAMESPACES_OF_DATA: Final = frozenset({"object-storage", "mlflow", "kubeflow", "notebooks"})
_AWS_BUCKET: Final = "aws:s3/bucket"
_BUCKET: Final = "pulumi-python:dynamic/mlops:Bucket"
_PROTECTED: Final = "protect"
_CONSEQUENCES: Final = frozenset({"preview failed", "update failed"})
_CAUSES: Final = {
    "kubernetes_version": "kubernetesVersion",
    "network": "clusterNetwork",
    "storageClassName": "storageClass",
    "storage_class_name": "storageClass",
    "region": "awsRegion",
}


class DataLossError(Exception):
    """An update would take data of a lasting stack away; nothing was changed."""


def protect(*, ephemeral: bool) -> None:
    """Let the engine refuse to delete or replace what holds data, in the running program."""
    released = names(settings.from_command("replace"))

    def transform(
        args: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        if not holds_data(args.type_, args.props):
            return None
        lasting = not ephemeral and not {EVERYTHING, args.name} & released
        # False, not absent: a stack that becomes ephemeral gives its resources free.
        options = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(protect=lasting))
        return pulumi.ResourceTransformationResult(args.props, options)

    pulumi.runtime.register_stack_transformation(transform)


def names(replace: str) -> frozenset[str]:
    """Return the resources that `REPLACE=` names, separated by commas."""
    return frozenset(settings.items(replace))


def holds_data(kind: str, inputs: Mapping[str, Any]) -> bool:
    """Return whether a resource holds data that nothing makes again."""
    if kind == "kubernetes:core/v1:Namespace":
        metadata = inputs.get("metadata")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        return name in _NAMESPACES_OF_DATA
    # A definition takes along what the program has declared beside it, and runs.
    return is_stateful(kind) and not kind.endswith(":CustomResourceDefinition")


def is_lasting(resources: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether a state is that of a stack that is not ephemeral."""
    # An ephemeral one may bear a protection that somebody has set by hand: that stays.
    for resource in resources:
        inputs = resource.get("inputs") or {}
        if resource["type"] == _BUCKET and not inputs.get("force_destroy"):
            return True
        if resource["type"].startswith(_AWS_BUCKET) and not inputs.get("forceDestroy"):
            return True
    return False


def only_protected(errors: Iterable[str]) -> bool:
    """Return whether the engine reports nothing but that protected resources cannot go."""
    return all(_PROTECTED in error or error in _CONSEQUENCES for error in errors)


def refuse_loss(stack: Stack, plan: Plan, *, allowed: frozenset[str]) -> None:
    """Refuse a plan that would take data away.

    Args:
        stack: the stack.
        plan: what an update would do.
        allowed: names of the resources that may go.

    Raises:
        DataLossError: it would; nothing was changed.
    """
    found = losses(plan, stack.resources(), allowed=allowed)
    if found:
        name = found[0][0]
        lines = [f"  {text}" for _, text in found]
        raise DataLossError(
            "\n".join(
                [
                    f"stack {stack.name} is not ephemeral, and this would take its data away; "
                    "nothing was changed",
                    *lines,
                    "set back what differs, or name what may go: "
                    f"`make up{stack.make_argument} REPLACE={name}`",
                ]
            )
        )


def losses(
    plan: Plan, resources: Iterable[Mapping[str, Any]], *, allowed: frozenset[str] = frozenset()
) -> list[tuple[str, str]]:
    """Return what a plan would take away: the resource's name, and a line that says why.

    Args:
        plan: what an update would do.
        resources: as Pulumi's state holds them.
        allowed: names of the resources that may go; a cluster takes along what is in it.
    """
    changes = {change.urn: change for change in plan.changes}
    found: list[tuple[str, str, bool]] = []
    for resource in resources:
        urn, kind = str(resource["urn"]), str(resource["type"])
        if resource.get("delete") or not holds_data(kind, resource.get("inputs") or {}):
            continue
        change = changes.get(urn)
        name = urn.rpartition("::")[2]
        # A protected resource that left the program has no step, only the engine's error.
        gone = change is None or change.operation is Operation.DELETE
        if gone:
            found.append((name, f"{name} ({_short(kind)}) would be deleted", is_cluster(kind)))
        elif change is not None and change.operation is Operation.REPLACE:
            text = f"{name} ({_short(kind)}) would be replaced{_because(change)}"
            found.append((name, text, is_cluster(kind)))
    if any(cluster and name in allowed for name, _, cluster in found):
        return []
    # A cluster is why what is in it goes: it comes first.
    found.sort(key=lambda loss: not loss[2])
    return [(name, text) for name, text, _ in found if name not in allowed]


def _because(change: Change) -> str:
    for difference in change.differences:
        if difference.forces_replacement and difference.old != difference.new:
            setting = _CAUSES.get(difference.path.rpartition(".")[2], "")
            hint = f" (setting {setting})" if setting else ""
            return f": {difference.path} {difference.old} → {difference.new}{hint}"
    return " with what it lives in"


def _short(kind: str) -> str:
    return kind.rpartition(":")[2]
