"""No credential that everybody knows, and none in plain sight."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mlops_policies.pods import containers, pod
from mlops_policies.rule import Allowed, Resource, Rule, items

# Passwords of well-known default installations.
_DEFAULTS: Final = frozenset(
    {
        "12341234",
        "admin",
        "adminadmin",
        "changeme",
        "default",
        "minio",
        "minio123",
        "minioadmin",
        "mlflow",
        "mysql",
        "password",
        "postgres",
        "root",
        "secret",
        "test",
    }
)
_PRIVATE = re.compile(r"(?i)passw|passphrase|secret|token|credential|api_?key|access_?key")
# What points to a credential, or says how one is made, is none itself.
_POINTERS = re.compile(r"(?i)(name|arn|ref|path|file|id|length|enabled)$")


def _default(resource: Resource, _: Allowed) -> Iterator[str]:
    for path, value in _leaves(resource.props):
        key = path.rpartition(".")[2]
        if not isinstance(value, str) or not _is_private(resource, path, key):
            continue
        if not value:
            yield f"{path} is empty"
        elif value.lower() in _DEFAULTS:
            yield f"{path} is a default that everybody knows"
    for container in containers(pod(resource) or {}):
        for variable in items(container.get("env")):
            name, value = str(variable.get("name", "")), variable.get("value")
            if (
                isinstance(value, str)
                and _PRIVATE.search(name)
                and not _POINTERS.search(name)
                and value.lower() in _DEFAULTS
            ):
                yield f"the variable {name} holds a default that everybody knows"


def _is_private(resource: Resource, path: str, key: str) -> bool:
    in_secret = resource.type == "kubernetes:core/v1:Secret" and path.startswith("stringData.")
    named = bool(_PRIVATE.search(key)) and not _POINTERS.search(key)
    return (named and in_secret) or (named and resource.type.startswith("aws:"))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, path)
    else:
        yield path, value


RULES = (
    Rule(
        name="no-default-credential",
        description="No credential is empty or one that everybody knows.",
        remedy="Take it from the Credentials resource, which generates one for each stack.",
        check=_default,
    ),
)
