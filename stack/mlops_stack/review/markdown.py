"""A plan as Markdown, for a reviewer of a pull request."""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from mlops_stack.review import costs, data_at_risk
from mlops_stack.review.plan import LAYERS, Change, Difference, Operation, Plan
from mlops_stack.review.summary import Base

_SHOWN = (Operation.CREATE, Operation.UPDATE, Operation.REPLACE, Operation.DELETE)
_MARKS = {
    Operation.CREATE: "+",
    Operation.UPDATE: "~",
    Operation.REPLACE: "±",
    Operation.DELETE: "−",  # noqa: RUF001 - a minus sign, as wide as the plus
}


def render(plan: Plan, base: Base | None = None) -> str:
    """Return the page: counts first, then what needs attention, then every change.

    Args:
        plan: what the preview says.
        base: what that of the target branch says; without it, the stack as deployed is the base.
    """
    blocks = [
        f"## Preview of stack `{plan.stack}`",
        _verdict(plan),
        *(f"> {note}" for note in plan.notes),
        *_errors(plan),
        *_counts(plan),
        *_data_at_risk(plan),
        *_replacements(plan),
        *_policies(plan),
        *_costs(plan, base),
        *_against(plan, base),
        *_details(plan),
    ]
    return "\n\n".join(blocks) + "\n"


def code(text: str) -> str:
    """Return text as inline code that no content can break out of."""
    text = " ".join(text.split())
    fence = "`"
    while fence in text:
        fence += "`"
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def plain(text: str) -> str:
    """Return text of others without what Markdown or HTML would act on."""
    for character in "\\`*_{}[]<>|#@":
        text = text.replace(character, f"&#{ord(character)};")
    return text.replace("\n", "<br>")


def _verdict(plan: Plan) -> str:
    if plan.blocked:
        return "❌ **Stopped by policy.** See below for the rule and the remedy."
    if plan.errors:
        return "❌ **The preview failed.**"
    if not any(plan.of(operation) for operation in _SHOWN):
        return "✅ No changes."
    parts = [f"{len(found)} {op}" for op in _SHOWN if (found := plan.of(op))]
    unchanged = len(plan.of(Operation.SAME))
    return f"✅ {', '.join(parts)}; {unchanged} unchanged."


def _errors(plan: Plan) -> Iterator[str]:
    if plan.errors and not plan.blocked:
        yield "\n".join(f"- {plain(error)}" for error in plan.errors)


def _counts(plan: Plan) -> Iterator[str]:
    rows = []
    for layer in LAYERS:
        numbers = [
            sum(change.layer == layer for change in plan.of(op)) for op in (*_SHOWN, Operation.SAME)
        ]
        rows.append(f"| {layer} | {' | '.join(map(str, numbers))} |")
    yield "\n".join(
        [
            "| layer | created | changed | replaced | deleted | unchanged |",
            "|---|--:|--:|--:|--:|--:|",
            *rows,
        ]
    )


def _data_at_risk(plan: Plan) -> Iterator[str]:
    if found := data_at_risk.endangered(plan.changes):
        yield "\n".join(
            [
                "> [!WARNING]",
                "> These hold data, or what reaches it, and would be replaced or deleted:",
                ">",
                *(f"> - {_name(change)}: **{change.operation}**" for change in found),
            ]
        )


def _replacements(plan: Plan) -> Iterator[str]:
    found = plan.of(Operation.REPLACE)
    if not found:
        return
    yield "### Replaced, and why"
    lines = []
    for change in found:
        forcing = [d for d in change.differences if d.forces_replacement]
        reasons = "; ".join(map(_difference, forcing)) or "something it depends on is replaced"
        lines.append(f"- {_name(change)}: {reasons}")
    yield "\n".join(lines)


def _policies(plan: Plan) -> Iterator[str]:
    yield "### Policies"
    if not plan.policy_packs and not plan.violations:
        yield "No policies ran."
        return
    if not plan.violations:
        yield f"✅ {len(plan.rules)} rules, no violation."
        return
    lines = []
    for violation in sorted(plan.violations, key=lambda v: (not v.mandatory, v.rule, v.urn)):
        mark = "❌ mandatory" if violation.mandatory else "⚠️ advisory"
        name = code(violation.urn.split("::", 3)[-1]) if violation.urn else "the stack"
        lines.append(f"- {mark} {code(violation.rule)} on {name}<br>{plain(violation.message)}")
    yield "\n".join(lines)


def _costs(plan: Plan, base: Base | None) -> Iterator[str]:
    after = costs.after(plan)
    if not after.unpriced and not any(map(costs.is_billed, plan.changes)):
        return
    old = costs.before(plan).monthly if base is None else base.monthly
    against = "the stack as deployed" if base is None else "the base"
    yield "### Cost"
    yield (
        f"**${after.monthly:,.2f} a month**, {_signed(after.monthly - old)} against {against}. "
        f"On-demand prices of us-east-1{_dated(after.prices)}."
    )
    if after.spot:
        yield "Spot capacity is counted at its on-demand price, and costs less."
    if after.by_use:
        yield f"Usage-based, not counted: {', '.join(after.by_use)}."
    if after.unpriced:
        yield f"Billed, but price not known: {', '.join(map(code, after.unpriced))}."


def _dated(names: frozenset[str]) -> str:
    dates = sorted(costs.table()[name].as_of for name in names)
    if not dates:
        return ""
    return f", as of {dates[0]}" if dates[0] == dates[-1] else f", as of {dates[0]} to {dates[-1]}"


def _signed(amount: Decimal) -> str:
    return f"{'+' if amount >= 0 else '-'}${abs(amount):,.2f}"


def _against(plan: Plan, base: Base | None) -> Iterator[str]:
    if base is None:
        return
    here = {c.urn for c in plan.changes if c.operation is not Operation.DELETE}
    added, gone = sorted(here - base.resources), sorted(base.resources - here)
    yield "### Against the base"
    if not added and not gone:
        yield "The same resources."
        return
    yield "\n".join(
        [
            *(f"- new: {code(urn.split('::', 2)[-1])}" for urn in added),
            *(f"- gone: {code(urn.split('::', 2)[-1])}" for urn in gone),
        ]
    )


def _details(plan: Plan) -> Iterator[str]:
    for layer in LAYERS:
        changes = [c for op in _SHOWN for c in plan.of(op) if c.layer == layer]
        if changes:
            yield f"<details><summary>{layer}: {len(changes)} changes</summary>"
            yield "\n".join(_lines(changes))
            yield "</details>"


def _lines(changes: Iterable[Change]) -> Iterator[str]:
    for change in changes:
        yield f"- `{_MARKS[change.operation]}` {_name(change)}"
        if change.operation in (Operation.UPDATE, Operation.REPLACE):
            yield from (f"  - {_difference(difference)}" for difference in change.differences)


def _difference(difference: Difference) -> str:
    if difference.path == "__provider":
        return "the code of its provider"
    return f"{code(difference.path)}: {code(difference.old)} → {code(difference.new)}"


def _name(change: Change) -> str:
    return f"{code(change.name)} ({change.type})"
