"""Seldon's protocol: how a message names rows, and how an answer is written."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlops_serving.predictor import Answer
from mlops_serving.schema import SchemaError, rows_of


def read(fields: Sequence[str], message: Any) -> tuple[list[dict[str, Any]], str]:
    """Return the rows of a message and its request id, which is empty if it names none.

    A message holds `data.ndarray` with `data.names`, `data.tensor`, or `jsonData` with one object
    or a list of them; without names, values are in the schema's order. `meta.puid` is its id.

    Args:
        fields: the model's fields.
        message: the message.

    Raises:
        SchemaError: it holds none of these, or a table that is none.
    """
    if not isinstance(message, Mapping):
        raise SchemaError("a message is an object with data or jsonData")
    meta = message.get("meta")
    puid = meta.get("puid") if isinstance(meta, Mapping) else None
    request_id = puid if isinstance(puid, str) else ""
    if "jsonData" in message:
        found = message["jsonData"]
        return ([found] if isinstance(found, dict) else found), request_id
    data = message.get("data")
    if not isinstance(data, Mapping):
        raise SchemaError("data: missing; needs names and ndarray, or send jsonData")
    names = data.get("names") or []
    if isinstance(names, str) or not isinstance(names, list):
        raise SchemaError("data.names: needs a list of fields")
    if "ndarray" in data:
        values = data["ndarray"]
        if not isinstance(values, list) or not values:
            raise SchemaError("data.ndarray: needs a list with one list of values a row")
        return rows_of(fields, names, values), request_id
    if "tensor" in data:
        return rows_of(fields, names, _tensor(data["tensor"])), request_id
    raise SchemaError("data.ndarray: missing; needs one list of values a row")


def write(answer: Answer) -> dict[str, Any]:
    """Return the answer as a message: one probability a row, and what traces it."""
    return {
        "data": {
            "names": ["probability"],
            "ndarray": [[probability] for probability in answer.probabilities],
        },
        "meta": {
            "puid": answer.request_id,
            "tags": {"model_version": answer.model_version, "request_id": answer.request_id},
        },
    }


def _tensor(tensor: Any) -> list[list[Any]]:
    shape = tensor.get("shape") if isinstance(tensor, Mapping) else None
    values = tensor.get("values") if isinstance(tensor, Mapping) else None
    if not isinstance(shape, list) or not isinstance(values, list) or len(shape) != 2:
        raise SchemaError("data.tensor: needs a shape of two numbers, and values")
    rows, columns = shape
    whole = all(isinstance(each, int) and each > 0 for each in shape)
    if not whole or rows * columns != len(values):
        raise SchemaError(f"data.tensor: {len(values)} values do not fill the shape {shape}")
    return [values[row * columns : (row + 1) * columns] for row in range(rows)]
