"""The Open Inference Protocol (V2): how a request names rows, and how an answer is written."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mlops_serving.schema import SchemaError, rows_of

OUTPUT: Final = "probability"


def read(fields: Sequence[str], inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of a request: one tensor a field, with one value a row.

    Args:
        fields: the model's fields.
        inputs: tensors with `name`, `shape` ([n] or [n, 1]) and `data`; a value that nobody
            measured is null, or NaN where the transport knows no null.

    Raises:
        SchemaError: a tensor of another shape, or fields with different numbers of rows.
    """
    columns = {str(tensor["name"]): _column(tensor) for tensor in inputs}
    if len(columns) < len(inputs):
        # `rows_of` names the field that is there twice.
        rows_of(fields, [tensor["name"] for tensor in inputs], [])
    if not columns:
        raise SchemaError(f"inputs: needs one tensor for each of {', '.join(fields)}")
    rows = len(next(iter(columns.values())))
    for name, values in columns.items():
        if len(values) != rows:
            raise SchemaError(f"{name}: {len(values)} values, but {next(iter(columns))} has {rows}")
    return rows_of(fields, list(columns), list(zip(*columns.values(), strict=True)))


def _column(tensor: Mapping[str, Any]) -> list[Any]:
    name, shape, data = tensor["name"], list(tensor["shape"]), tensor["data"]
    if not isinstance(data, list):
        raise SchemaError(f"{name}: data needs a list of values")
    if shape not in ([len(data)], [len(data), 1]):
        raise SchemaError(
            f"{name}: shape {shape} does not fit {len(data)} values; needs [n] or [n, 1]"
        )
    return [_text(name, value) for value in data]


def _text(name: str, value: Any) -> Any:
    """Return text as such: gRPC sends bytes."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise SchemaError(f"{name}: needs text in UTF-8") from error
