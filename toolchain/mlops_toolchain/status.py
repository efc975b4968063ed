"""The table of artefacts: what is there, where it came from, what it weighs, its licence."""

import json
from typing import Any

from mlops_toolchain import engine
from mlops_toolchain.artefacts import ARTEFACTS
from mlops_toolchain.build import is_built, record


def rows() -> list[dict[str, str]]:
    """Return one row for each artefact; origin is empty for one that is not there."""
    table = []
    for artefact in ARTEFACTS:
        noted = record(artefact) if is_built(artefact) else {}
        table.append(
            {
                "artefact": artefact.name,
                "version": artefact.version,
                "origin": noted.get("origin", ""),
                "size": f"{noted['bytes'] / 2**20:.0f} MiB" if noted else "",
                "built in": f"{noted['seconds']:.0f} s" if noted else "",
                "from": _place(noted) if noted else "",
                "licence": artefact.licence,
            }
        )
    return table


def _place(noted: dict[str, Any]) -> str:
    """Return which machine made a result, and for another's what its transfer took."""
    if "fetched" not in noted:
        return "this machine"
    size = f"{noted['fetched_bytes'] / 2**20:.0f} MiB in {noted['fetched_seconds']:.1f} s"
    return f"{noted['fetched']} ({size})"


def show(*, as_json: bool) -> None:
    """Print the table, or JSON."""
    table = rows()
    if as_json:
        print(json.dumps(table, indent=2))
        return
    missing = {artefact.name for artefact in engine.missing([])}
    for row in table:
        if not row["origin"]:
            row["origin"] = "missing" if row["artefact"] in missing else "not needed"
    widths = {column: max(len(column), *(len(row[column]) for row in table)) for column in table[0]}
    print("  ".join(f"{column:<{width}}" for column, width in widths.items()))
    for row in table:
        print("  ".join(f"{row[column]:<{width}}" for column, width in widths.items()))
