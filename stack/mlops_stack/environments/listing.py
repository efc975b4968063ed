"""`make envs`: what environments there are, for people and for programs."""

import dataclasses
import datetime
import json
import sys
import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from mlops_stack import report
from mlops_stack.environments import records
from mlops_stack.environments.records import Environment
from mlops_stack.lifetime import shown
from mlops_stack.pulumi_cli import PulumiError, Stack
from mlops_stack.review import costs

_HEADINGS = ("NAME", "PROVIDER", "AGE", "LEFT", "COST", "STATE")
_UNKNOWN = "–"  # noqa: RUF001 - a dash, not a minus


def show(*, as_json: bool) -> bool:
    """Print the environments; return whether the tags of all could be read.

    On a terminal a table, or a block for each where that is too narrow; elsewhere lines whose
    columns are separated by tabs, or JSON.

    Raises:
        PulumiError: the backend does not answer.
    """
    now, known = time.time(), records.found()
    spent = {environment.name: _cost(environment, now) for environment in known}
    if as_json:
        described = [
            dataclasses.asdict(e) | {"expired": e.expired, "costUsd": _number(spent[e.name])}
            for e in known
        ]
        report.plain(json.dumps(described, indent=2))
    else:
        _print([_row(environment, spent[environment.name], now) for environment in known])
    for environment in known:
        if environment.problem:
            report.error(environment.problem)
    return not any(environment.problem for environment in known)


def cost_so_far(resources: Iterable[Mapping[str, Any]], now: float) -> Decimal:
    """Return what resources have cost since they were made, in US dollars, as far as is known.

    Args:
        resources: as Pulumi's state holds them.
        now: the time, in seconds since the epoch.
    """
    known = [(_resource(found), found.get("created")) for found in resources]
    disks = costs.node_disks(resource for resource, _ in known)
    total = Decimal(0)
    for resource, made in known:
        if made:
            seconds = now - datetime.datetime.fromisoformat(made).timestamp()
            monthly = costs.estimate([resource], disks).monthly
            total += monthly * Decimal(max(seconds, 0)) / (3600 * costs.HOURS_PER_MONTH)
    return total


def _resource(found: Mapping[str, Any]) -> costs.Resource:
    name = found["urn"].rpartition("::")[2]
    return costs.Resource(type=found["type"], name=name, inputs=found.get("inputs") or {})


def _cost(environment: Environment, now: float) -> Decimal | None:
    """Return what an environment has cost; None for one that nobody bills."""
    if environment.provider != "eks":
        return None
    stack = Stack(environment.name)
    try:
        return cost_so_far(stack.resources(), now)
    except PulumiError:
        if stack.exists():
            raise
        return None  # a reaper has just finished with it


def _number(cost: Decimal | None) -> float | None:
    return None if cost is None else round(float(cost), 2)


def _row(environment: Environment, cost: Decimal | None, now: float) -> tuple[str, ...]:
    created, expires = environment.created, environment.expires
    return (
        environment.name,
        environment.provider,
        _UNKNOWN if created is None else shown(now - created),
        "unreadable" if expires is None else shown(expires - now),
        _UNKNOWN if cost is None else f"${cost:,.2f}",
        environment.state,
    )


def _print(rows: list[tuple[str, ...]]) -> None:
    if not sys.stdout.isatty():
        for row in (_HEADINGS, *rows):
            report.plain("\t".join(row))
        return
    console = Console()
    table = Table(*_HEADINGS, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    wide = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    if wide <= console.width:
        console.print(table)
        return
    for name, *others in rows:
        report.plain(name)
        for heading, value in zip(_HEADINGS[1:], others, strict=True):
            report.plain(f"  {heading.lower()} {value}")
