"""What a preview would do, read from the engine's JSON events.

Events: `apitype.EngineEvent` of the pinned engine, one JSON object per line. They carry what the
plain `--json` output does not: the properties that force a replacement, and policy violations.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_stack.review import values

LAYERS = ("infra", "platform", "workloads")
# Where a resource with no component above it belongs, if not to infra: by the end of its type.
_WITHOUT_PARENT = {"Dataset": "workloads"}


class Operation(enum.StrEnum):
    """What happens to a resource, in the order in which a reviewer wants to read it."""

    REPLACE = "replaced"
    DELETE = "deleted"
    CREATE = "created"
    UPDATE = "changed"
    SAME = "unchanged"


# The engine shows a replacement as up to three steps.
_OPERATIONS = {
    "create": Operation.CREATE,
    "import": Operation.CREATE,
    "update": Operation.UPDATE,
    "delete": Operation.DELETE,
    "same": Operation.SAME,
    "create-replacement": Operation.REPLACE,
    "import-replacement": Operation.REPLACE,
    "replace": Operation.REPLACE,
    "delete-replaced": Operation.REPLACE,
}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One property that differs.

    Attributes:
        path: the property's path, for example `spec.template.spec.containers[0].image`.
        old: its value before, ready to show; secrets are masked.
        new: its value after, ready to show; secrets are masked.
        forces_replacement: whether it is why the resource is replaced.
    """

    path: str
    old: str
    new: str
    forces_replacement: bool


@dataclass(frozen=True, kw_only=True)
class Change:
    """What happens to one resource.

    Attributes:
        urn: its identity.
        layer: infra, platform, workloads, or "stack" for what belongs to none.
        operation: what happens to it.
        differences: the properties that differ, in the order of their paths.
        before: its inputs as they are now; none if it does not exist.
        after: its inputs as they will be; none if it goes.
    """

    urn: str
    layer: str
    operation: Operation
    differences: tuple[Difference, ...] = ()
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None

    @property
    def type(self) -> str:
        """Return the resource's own type, without those of its parents."""
        return self.urn.split("::")[2].rpartition("$")[2]

    @property
    def name(self) -> str:
        """Return the resource's name in the program."""
        return self.urn.split("::", 3)[3]


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A policy that a resource violates.

    Attributes:
        rule: the policy's name.
        urn: the resource; empty if it is about the whole stack.
        message: what is wrong, and the remedy.
        mandatory: whether it stops the preview.
    """

    rule: str
    urn: str
    message: str
    mandatory: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A whole preview.

    Attributes:
        stack: the stack's name.
        changes: one for each resource, in the order in which the engine met them.
        violations: what the policies say.
        policy_packs: name of each pack that ran to its version.
        rules: the names of the rules that were applied.
        errors: what the engine reports as errors; empty if the preview succeeded.
        notes: what a reader must know of how the plan was made.
    """

    stack: str
    changes: tuple[Change, ...] = ()
    violations: tuple[Violation, ...] = ()
    policy_packs: Mapping[str, str] = field(default_factory=dict)
    rules: frozenset[str] = frozenset()
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def of(self, operation: Operation) -> tuple[Change, ...]:
        """Return the changes of one kind, without the stack itself."""
        return tuple(c for c in self.changes if c.operation is operation and c.layer != "stack")

    @property
    def blocked(self) -> bool:
        """Return whether a mandatory policy is violated."""
        return any(violation.mandatory for violation in self.violations)


def read(stack: str, events: Iterable[Mapping[str, Any]]) -> Plan:
    """Return the plan that the events of one preview describe."""
    steps: dict[str, list[Mapping[str, Any]]] = {}
    violations: dict[Violation, None] = {}  # a replacement is analysed twice
    rules: set[str] = set()
    errors: list[str] = []
    packs: Mapping[str, str] = {}
    for event in events:
        if step := event.get("resourcePreEvent"):
            metadata = step["metadata"]
            steps.setdefault(metadata["urn"], []).append(metadata)
        elif found := event.get("policyEvent"):
            violations[_violation(found)] = None
        elif result := (
            event.get("policyAnalyzeSummaryEvent") or event.get("policyAnalyzeStackSummaryEvent")
        ):
            rules |= {*(result.get("passed") or ()), *(result.get("failed") or ())}
        elif (message := event.get("diagnosticEvent")) and message.get("severity") == "error":
            errors.append(str(message["message"]).strip())
        elif failure := event.get("errorEvent"):
            errors.append(str(failure.get("error", "")).strip())
        elif summary := event.get("summaryEvent"):
            packs = summary.get("PolicyPacks") or {}
    parents = {urn: _state(found[-1]).get("parent", "") for urn, found in steps.items()}
    return Plan(
        stack=stack,
        changes=tuple(
            change
            for urn, found in steps.items()
            if (change := _change(urn, found, _layer(urn, parents))) is not None
        ),
        violations=tuple(violations),
        policy_packs=packs,
        rules=frozenset(rules),
        errors=tuple(error for error in errors if error),
    )


def _violation(event: Mapping[str, Any]) -> Violation:
    # The engine colours its text with markers of its own.
    message = values.without_markup(str(event["message"])).strip()
    return Violation(
        rule=event["policyName"],
        urn=event.get("resourceUrn", ""),
        message=message,
        mandatory=event["enforcementLevel"] == "mandatory",
    )


def _state(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    return metadata.get("new") or metadata.get("old") or {}


def _layer(urn: str, parents: Mapping[str, str]) -> str:
    """Return the layer of the nearest component above a resource, or its own if it is one."""
    at = urn
    while at:
        kind = at.split("::")[2].rpartition("$")[2]
        prefix, _, rest = kind.partition(":")
        layer = rest.partition(":")[0]
        if prefix == "mlops" and layer in LAYERS:
            return layer
        at = parents.get(at, "")
    kind = urn.split("::")[2].rpartition("$")[2]
    if kind == "pulumi:pulumi:Stack":
        return "stack"
    # A resource that nobody has thought of must not vanish from the page.
    return _WITHOUT_PARENT.get(kind.rpartition(":")[2], "infra")


def _change(urn: str, steps: list[Mapping[str, Any]], layer: str) -> Change | None:
    operations = [_OPERATIONS[step["op"]] for step in steps if step["op"] in _OPERATIONS]
    if not operations:  # a read or a refresh changes nothing
        return None
    operation = Operation.REPLACE if Operation.REPLACE in operations else operations[-1]
    before = next((s["old"] for s in steps if s.get("old")), None)
    after = next((s["new"] for s in steps if s.get("new")), None)
    if operation is Operation.DELETE:
        after = None
    if operation is Operation.CREATE:
        before = None
    return Change(
        urn=urn,
        layer=layer,
        operation=operation,
        differences=_differences(steps, before, after),
        before=None if before is None else before.get("inputs") or {},
        after=None if after is None else after.get("inputs") or {},
    )


def _differences(
    steps: list[Mapping[str, Any]],
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> tuple[Difference, ...]:
    if before is None or after is None:
        return ()
    forcing: set[str] = set()
    paths: set[str] = set()
    for step in steps:
        detailed: Mapping[str, Mapping[str, Any]] = step.get("detailedDiff") or {}
        forcing |= {p for p, diff in detailed.items() if diff["diffKind"].endswith("-replace")}
        paths |= set(detailed)
        keys = set(step.get("keys") or ())
        # A top-level key says less than the path below it that is there already.
        forcing |= {key for key in keys if not any(values.below(p, key) for p in forcing)}
        paths |= {key for key in step.get("diffs") or () if not _covered(key, paths)}
    old, new = before.get("inputs") or {}, after.get("inputs") or {}
    if not paths - forcing:
        # A dynamic provider says that something differs, not what.
        paths |= {k for k in {*old, *new} if old.get(k) != new.get(k) and not _covered(k, forcing)}
    olds = (old, before.get("outputs") or {})
    return tuple(
        Difference(
            path=path,
            old=values.show(path, values.first(path, olds)),
            new=values.show(path, values.first(path, (new,))),
            forces_replacement=path in forcing,
        )
        for path in sorted(paths | forcing)
    )


def _covered(key: str, paths: set[str]) -> bool:
    return any(values.below(path, key) for path in paths)
