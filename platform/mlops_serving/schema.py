"""What a model is asked: its fields, whichever engine serves it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, Self

import pandas as pd

_MOST_PROBLEMS: Final = 10
# Types of MLflow's signatures that arrive as JSON's numbers, and what pandas calls them.
_NUMBERS: Final = {
    "double": "float64",
    "float": "float32",
    "integer": "int32",
    "long": "int64",
    "boolean": "bool",
}


class SchemaError(ValueError):
    """A request is not what the model was trained on; the message names each row and field."""


class Schema(Protocol):
    """The fields of a model's requests."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields in their order."""

    @property
    def texts(self) -> frozenset[str]:
        """Names of the fields that hold text; the others hold numbers."""

    def frame(self, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
        """Return requests as the model's input.

        Raises:
            SchemaError: no rows, or a field that is missing, unknown or of another type.
        """


class SignatureSchema:
    """What MLflow noted of a model's input when it was logged.

    Args:
        columns: type of MLflow by name of the column.
    """

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._columns = dict(columns)
        self.fields = tuple(columns)
        self.texts = frozenset(name for name, kind in columns.items() if kind not in _NUMBERS)

    @classmethod
    def read(cls, description: Mapping[str, Any]) -> Self:
        """Return the schema of a model.

        Args:
            description: its file MLmodel.

        Raises:
            ValueError: the model was logged without named columns.
        """
        inputs = json.loads((description.get("signature") or {}).get("inputs") or "[]")
        if not inputs or not all("name" in each for each in inputs):
            raise ValueError(
                "the model has no signature with named columns; log it with an input_example that "
                "is a DataFrame"
            )
        return cls({str(each["name"]): str(each["type"]) for each in inputs})

    def frame(self, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
        """Return requests as the model's input; see `Schema`."""
        check_rows(rows)
        problems = [
            problem for number, row in enumerate(rows) for problem in self._problems(number, row)
        ]
        if problems:
            shown = problems[:_MOST_PROBLEMS]
            raise SchemaError("; ".join([*shown, "…"] if len(problems) > len(shown) else shown))
        table = pd.DataFrame([dict(row) for row in rows], columns=list(self.fields))
        return table.astype(
            {name: _NUMBERS.get(kind, "object") for name, kind in self._columns.items()}
        )

    def _problems(self, number: int, row: Mapping[str, Any]) -> list[str]:
        missing = [f"row {number}, {name}: missing" for name in self.fields if name not in row]
        unknown = [
            f"row {number}, {name}: unknown; the fields are {', '.join(self.fields)}"
            for name in row
            if name not in self._columns
        ]
        wrong = [
            f"row {number}, {name}: should be a {kind}, not {row[name]!r}"
            for name, kind in self._columns.items()
            if name in row and not _fits(kind, row[name])
        ]
        return [*missing, *unknown, *wrong]


def _fits(kind: str, value: Any) -> bool:
    if kind not in _NUMBERS:
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, int | float):
        # Only numbers with a point can say that nobody measured.
        return value is None and kind in ("double", "float")
    return kind in ("double", "float") or float(value).is_integer()


def check_rows(rows: Any) -> None:
    """Refuse what is no list of rows.

    Raises:
        SchemaError: it is none, or an empty one.
    """
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Sequence):
        raise SchemaError("a request is a list of rows, each an object of fields")
    if not rows:
        raise SchemaError("a request needs at least one row")
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise SchemaError(f"row {number}: a row is an object of fields")


def rows_of(
    fields: Sequence[str], names: Sequence[Any], values: Sequence[Sequence[Any]]
) -> list[dict[str, Any]]:
    """Return a table as rows for `Schema.frame`.

    Args:
        fields: the schema's fields.
        names: fields of the columns; empty for the schema's own order.
        values: one sequence of values for each row.

    Raises:
        SchemaError: a name twice, or a row with more or fewer values than names.
    """
    columns = [str(name) for name in names] or list(fields)
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise SchemaError(f"{', '.join(twice)}: named more than once")
    found = []
    for number, row in enumerate(values):
        if isinstance(row, str | bytes) or not isinstance(row, Sequence):
            raise SchemaError(f"row {number}: needs a list of values, one for each field")
        if len(row) != len(columns):
            raise SchemaError(
                f"row {number}: {len(row)} values for {len(columns)} fields: {', '.join(columns)}"
            )
        found.append(dict(zip(columns, row, strict=True)))
    return found
