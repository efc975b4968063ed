"""What the `pulumi_aws` SDK says of a resource's inputs, and what contradicts it."""

import functools
import importlib
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pulumi import _types

from mlops_kubernetes.values import UNKNOWN

_TOKEN = re.compile(r"aws:([a-z0-9]+)/[A-Za-z0-9]+:([A-Za-z0-9]+)")


class UnknownTypeError(Exception):
    """The SDK has no resource of that type."""


@functools.cache
def arguments(token: str) -> type:
    """Return the SDK's class of a resource type's inputs.

    Args:
        token: for example `aws:s3/bucket:Bucket`.

    Raises:
        UnknownTypeError: the SDK has no such type.
    """
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise UnknownTypeError(f"{token} is no resource type of pulumi_aws")
    module = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", match[2]).lower()
    try:
        found = importlib.import_module(f"pulumi_aws.{match[1]}.{module}")
        # Named so where a nested type has taken the plain name.
        cls: type = getattr(found, f"{match[2]}InitArgs", None) or getattr(found, f"{match[2]}Args")
    except (ImportError, AttributeError) as error:
        raise UnknownTypeError(f"pulumi_aws has no resource type {token}") from error
    return cls


def problems(token: str, inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is wrong with a resource's inputs: the property, and the reason.

    Raises:
        UnknownTypeError: the SDK has no such type.
    """
    return list(_object(arguments(token), inputs, ""))


def has_property(token: str, name: str) -> bool:
    """Return whether a resource type takes a property."""
    return name in _properties(arguments(token))


@functools.cache
def _properties(cls: type) -> dict[str, Any]:
    """Return the properties of an inputs class, as they are on the wire, with their types."""
    return dict(_types.input_type_types(cls))


@functools.cache
def _required(cls: type) -> frozenset[str]:
    names = _types.input_type_py_to_pulumi_names(cls)
    parameters = inspect.signature(cls).parameters.values()
    return frozenset(names[p.name] for p in parameters if p.default is inspect.Parameter.empty)


def _object(cls: type, value: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    known = _properties(cls)
    for name in sorted(_required(cls) - set(value)):
        yield path + name, f"{path}{name} is required by {cls.__name__}"
    for name, member in value.items():
        if name not in known:
            listed = ", ".join(sorted(known))
            yield path + name, f"{cls.__name__} has no property {name!r}; it has {listed}"
        else:
            yield from _value(known[name], member, path + name)


def _value(  # noqa: PLR0912 - one branch per shape of type
    wanted: Any, value: Any, path: str
) -> Iterator[tuple[str, str]]:
    if value is None or value is UNKNOWN:
        return
    wanted = _unwrapped(wanted)
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        found = [list(_value(option, value, path)) for option in typing.get_args(wanted)]
        if all(found):
            yield found[0][0]
    elif _types.is_input_type(wanted):
        if isinstance(value, Mapping):
            yield from _object(wanted, value, f"{path}.")
        else:
            yield path, _mismatch(path, "an object", value)
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            yield path, _mismatch(path, "a map", value)
            return
        for key, member in value.items():
            yield from _value(typing.get_args(wanted)[1], member, f"{path}.{key}")
    elif isinstance(origin, type) and issubclass(origin, Sequence):
        if not isinstance(value, list):
            yield path, _mismatch(path, "a list", value)
            return
        for index, item in enumerate(value):
            yield from _value(typing.get_args(wanted)[0], item, f"{path}[{index}]")
    elif isinstance(wanted, type) and not _fits(wanted, value):
        yield path, _mismatch(path, f"a {wanted.__name__}", value)


def _unwrapped(wanted: Any) -> Any:
    """Return a type without `Input[…]` around it, which is a union with outputs and awaitables."""
    if typing.get_origin(wanted) not in (typing.Union, types.UnionType):
        return wanted
    plain = [
        option
        for option in typing.get_args(wanted)
        if option is not type(None)
        and getattr(typing.get_origin(option) or option, "__name__", "")
        not in ("Awaitable", "Output")
        # The dictionary form of an inputs class; the class says the same.
        and not typing.is_typeddict(option)
    ]
    return plain[0] if len(plain) == 1 else typing.Union[tuple(plain)]  # noqa: UP007


def _fits(wanted: type, value: Any) -> bool:
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, wanted)


def _mismatch(path: str, wanted: str, value: Any) -> str:
    return f"{path} needs {wanted}, not {type(value).__name__}"
