"""Property values of the protocol as plain Python data, and back.

The wire format is `google.protobuf.Struct` with signed structs for secrets, outputs, assets and
resource references (Pulumi's `sdk/go/common/resource/plugin/rpc.go`). Here a value is ordinary
JSON-like data; secrecy is kept beside it as a set of paths, and what is not known yet is `UNKNOWN`.
The SDK's own `PropertyValue` is not used: it reads an unknown as an ordinary string and cannot
write one.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from google.protobuf import struct_pb2

from mlops_kubernetes.paths import ROOT, PropertyPath

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105
_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_RESOURCE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
_ASSET: Final = "c44067f5952c0a294b673a41bacd8c17"
_UNKNOWNS: Final = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",  # string
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)
_UNKNOWN_STRING: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_EXACT_INTEGERS: Final = 2**53
"""Integers beyond this are not all representable in the wire's 64-bit floats."""


class Unknown(Enum):
    """The type of `UNKNOWN`."""

    VALUE = "unknown"


UNKNOWN: Final = Unknown.VALUE
"""Stands for a value that is not known before the update runs."""


class UnsupportedValueError(ValueError):
    """A property holds something that no Kubernetes object can hold."""


@dataclass(frozen=True, kw_only=True)
class ResourceReference:
    """A reference to a resource of the stack, as components return them."""

    urn: str
    id: str = ""


@dataclass(frozen=True, kw_only=True)
class Properties:
    """A property map.

    Attributes:
        value: JSON-like data; `UNKNOWN` where it is not known yet.
        secrets: paths whose values, with all below them, are secret.
        dependencies: URNs that outputs inside the map depend on.
    """

    value: dict[str, Any]
    secrets: frozenset[PropertyPath] = frozenset()
    dependencies: frozenset[str] = frozenset()

    @property
    def known(self) -> bool:
        """Whether nothing in the map is unknown."""
        return not contains_unknown(self.value)

    def secret_texts(self) -> frozenset[str]:
        """Return the secret strings, for taking them out of messages."""
        found: set[str] = set()
        for path in self.secrets:
            found.update(_texts(path.get(self.value)))
        return frozenset(found)


def decode(struct: struct_pb2.Struct) -> Properties:
    """Return a wire struct as plain data.

    Raises:
        UnsupportedValueError: it holds an archive or another value with no Kubernetes counterpart.
    """
    reader = _Reader()
    value = {k: reader.read(v, PropertyPath((k,))) for k, v in struct.fields.items()}
    return Properties(
        value=value,
        secrets=frozenset(reader.secrets),
        dependencies=frozenset(reader.dependencies),
    )


def encode(value: Mapping[str, Any], secrets: Iterable[PropertyPath] = ()) -> struct_pb2.Struct:
    """Return plain data as a wire struct, with the values at `secrets` marked secret."""
    marked = frozenset(secrets)
    fields = {k: _write(v, PropertyPath((k,)), marked) for k, v in value.items()}
    return struct_pb2.Struct(fields=fields)


def contains_unknown(value: Any) -> bool:
    """Tell whether `UNKNOWN` is anywhere in a value."""
    if isinstance(value, dict):
        return any(map(contains_unknown, value.values()))
    if isinstance(value, list):
        return any(map(contains_unknown, value))
    return value is UNKNOWN


def without_nulls(value: Any) -> Any:
    """Return a value without the null members of its maps.

    Kubernetes reads an absent field and a null one alike; SDKs write null for "not given".
    """
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_nulls(v) for v in value]
    return value


class _Reader:
    def __init__(self) -> None:
        self.secrets: set[PropertyPath] = set()
        self.dependencies: set[str] = set()

    def read(self, value: struct_pb2.Value, path: PropertyPath) -> Any:  # noqa: PLR0911
        match value.WhichOneof("kind"):
            case "string_value":
                return UNKNOWN if value.string_value in _UNKNOWNS else value.string_value
            case "number_value":
                number = value.number_value
                return int(number) if number.is_integer() else number
            case "bool_value":
                return value.bool_value
            case "list_value":
                items = value.list_value.values
                return [self.read(item, path.child(i)) for i, item in enumerate(items)]
            case "struct_value":
                fields = value.struct_value.fields
                if _SIGNATURE in fields:
                    return self._read_signed(fields, path)
                return {k: self.read(v, path.child(k)) for k, v in fields.items()}
        return None

    def _read_signed(self, fields: Mapping[str, struct_pb2.Value], path: PropertyPath) -> Any:
        match fields[_SIGNATURE].string_value:
            case signature if signature == _SECRET:
                self.secrets.add(path)
                return self.read(fields["value"], path)
            case signature if signature == _OUTPUT:
                if "secret" in fields and fields["secret"].bool_value:
                    self.secrets.add(path)
                if "dependencies" in fields:
                    listed = fields["dependencies"].list_value.values
                    self.dependencies.update(item.string_value for item in listed)
                return self.read(fields["value"], path) if "value" in fields else UNKNOWN
            case signature if signature == _RESOURCE:
                identity = fields["id"].string_value if "id" in fields else ""
                return ResourceReference(urn=fields["urn"].string_value, id=identity)
            case signature if signature == _ASSET:
                if "text" in fields and fields["text"].string_value:
                    return fields["text"].string_value
                if "path" in fields and fields["path"].string_value:
                    return Path(fields["path"].string_value).read_text()
        raise UnsupportedValueError(
            f"{path} is an archive or a remote asset, which no Kubernetes field can hold; "
            "give its text instead"
        )


def _write(  # noqa: PLR0911 - one per type of value
    value: Any, path: PropertyPath, secrets: frozenset[PropertyPath]
) -> struct_pb2.Value:
    if path in secrets:
        inner = _write(value, path, secrets - {path})
        return _signed(_SECRET, value=inner)
    if isinstance(value, ResourceReference):
        text = {"urn": value.urn, "id": value.id}
        return _signed(_RESOURCE, **{k: struct_pb2.Value(string_value=v) for k, v in text.items()})
    if value is UNKNOWN:
        return struct_pb2.Value(string_value=_UNKNOWN_STRING)
    if value is None:
        return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, int | float):
        return struct_pb2.Value(number_value=float(value))
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    if isinstance(value, Mapping):
        fields = {k: _write(v, path.child(k), secrets) for k, v in value.items()}
        return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=fields))
    if isinstance(value, list | tuple):
        items = [_write(v, path.child(i), secrets) for i, v in enumerate(value)]
        return struct_pb2.Value(list_value=struct_pb2.ListValue(values=items))
    raise UnsupportedValueError(f"{path} has a value of type {type(value).__name__}")


def inexact_integers(value: Any, path: PropertyPath = ROOT) -> Iterator[PropertyPath]:
    """Yield the paths of integers that the wire's 64-bit floats may not carry exactly."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from inexact_integers(member, path.child(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from inexact_integers(item, path.child(index))
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT_INTEGERS:
        yield path


def _signed(signature: str, **fields: struct_pb2.Value) -> struct_pb2.Value:
    marked = {_SIGNATURE: struct_pb2.Value(string_value=signature), **fields}
    return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=marked))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for member in value.values():
            yield from _texts(member)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str) and value:
        yield value
