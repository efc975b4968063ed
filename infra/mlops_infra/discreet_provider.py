"""Dynamic providers whose errors tell no secret of their resource."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import yaml
from pulumi.dynamic import ResourceProvider

_OPERATIONS: Final = ("create", "diff", "update", "read", "delete")
# Properties that are secret wherever a resource has them: the engine does not tell a dynamic
# provider which of its values are.
_SECRET: Final = frozenset(
    {"access_key", "authority_key", "kubeconfig", "password", "private_key", "secret_key", "token"}
)
# What of a kubeconfig's user is secret; the rest of it is in every message about a cluster.
_OF_A_USER: Final = ("token", "password", "client-key-data")


class RedactedError(Exception):
    """An operation failed; the error's own text held a secret."""


class DiscreetProvider(ResourceProvider):
    """A dynamic provider: what its operations raise goes to the user without the secrets.

    An error that tells none is raised as it is.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Guard the operations that the class itself defines."""
        super().__init_subclass__(**kwargs)
        for name in _OPERATIONS:
            if name in vars(cls):
                setattr(cls, name, _guarded(vars(cls)[name]))


def _guarded(operation: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(operation)
    def guarded(*arguments: Any, **named: Any) -> Any:
        try:
            return operation(*arguments, **named)
        except Exception as error:
            text = _cleaned(error, (*arguments, *named.values()))
            if text is None:
                raise
            raise RedactedError(text) from None

    return guarded


def _cleaned(error: BaseException, arguments: tuple[Any, ...]) -> str | None:
    """Return an error's text without secrets; None if neither it nor its causes tell one."""
    # Imported here: most operations do not fail.
    from mlops_kubernetes.redaction import Redaction  # noqa: PLC0415

    given = [each for each in arguments if isinstance(each, Mapping)]
    redaction = Redaction({secret for each in given for secret in _secrets(each)})
    told, seen = False, error
    while True:
        told = told or redaction.clean(str(seen)) != str(seen)
        cause = seen.__cause__ or seen.__context__
        if cause is None:
            return redaction.clean(str(error)) if told else None
        seen = cause


def _secrets(properties: Mapping[str, Any]) -> Iterator[str]:
    for key, value in properties.items():
        if isinstance(value, Mapping):
            yield from _secrets(value)
        elif key == "kubeconfig" and isinstance(value, str):
            yield from _of_kubeconfig(value)
        elif key in _SECRET and isinstance(value, str):
            yield value


def _of_kubeconfig(text: str) -> Iterator[str]:
    try:
        users = yaml.safe_load(text)["users"]
        found = [user.get("user") or {} for user in users]
    except (yaml.YAMLError, LookupError, TypeError, AttributeError):
        yield text
        return
    yield from (str(user[key]) for user in found for key in _OF_A_USER if user.get(key))
