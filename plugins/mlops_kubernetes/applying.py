"""Server-side apply with patience: bounded retries for what passes, clear errors for what does not.

Retried are a definition or namespace that is not there yet, a webhook or controller that is not
ready yet, an overloaded or restarting API server. Everything else is an answer.
"""

import contextlib
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from mlops_kubernetes import growing
from mlops_kubernetes.cancellation import Cancellation
from mlops_kubernetes.client import ApiError, Client, NotKubernetesError, UnreachableError
from mlops_kubernetes.discovery import Location, UnknownKindError
from mlops_kubernetes.engine import Log
from mlops_kubernetes.kubeconfig import KubeconfigError

RETRY_SECONDS: Final = 60.0
"""How long a passing failure may last."""
_LONGEST_PAUSE: Final = 5.0
_PASSING_CODES: Final = (429, 502, 503, 504)
_WEBHOOK_NOT_READY: Final = re.compile(
    r"failed calling webhook.*(connection refused|no endpoints available|EOF|i/o timeout|"
    r"context deadline exceeded|connection reset|no route to host|service unavailable|"
    r"not found|certificate signed by unknown authority)",
    re.IGNORECASE | re.DOTALL,
)
_PASSING_INTERNAL: Final = re.compile(r"etcdserver|leader changed|connection refused|timed out")
_OWNER: Final = re.compile(r'conflict with "(?P<owner>[^"]+)"')

_T = TypeVar("_T")


class FieldConflictError(Exception):
    """Another field manager owns fields that the program sets."""


class ObjectExistsError(Exception):
    """The object to create is there already."""


class ImmutableFieldError(Exception):
    """A changed field can only change with the object's replacement."""


class OperationError(Exception):
    """The cluster refused an operation; the message says what and why."""


async def patiently(
    work: Callable[[], Awaitable[_T]],
    *,
    cancellation: Cancellation,
    log: Log,
    seconds: float = RETRY_SECONDS,
) -> _T:
    """Do something on the cluster, again and again while its failure may pass.

    Raises:
        CancelledByUserError: the user cancelled.
        Exception: the last failure, when it does not pass or did not in time.
    """
    began = time.monotonic()
    attempt = 0
    while True:
        try:
            result = await work()
        except (ApiError, UnreachableError, UnknownKindError) as error:
            pause = _pause(error, attempt)
            if pause is None or time.monotonic() - began + pause > seconds:
                raise
            attempt += 1
            await log.status(f"attempt {attempt} failed, trying again: {error}")
            await cancellation.sleep(pause)
        else:
            if attempt:
                await log.status("")
            return result


def _pause(error: Exception, attempt: int) -> float | None:
    """Return the seconds until the next attempt, None when there is no sense in one."""
    pause: float = min(0.25 * 2.0**attempt, _LONGEST_PAUSE)
    if isinstance(error, UnknownKindError):
        return max(pause, 1.0)
    if isinstance(error, ApiError):
        return pause if _passes(error) else None
    if isinstance(error, NotKubernetesError):
        # A load balancer answers so while no API server stands behind it.
        return pause if error.code in _PASSING_CODES else None
    if isinstance(error.__cause__, KubeconfigError) or error.__cause__ is None:
        return None
    return pause


def _passes(error: ApiError) -> bool:
    if error.code in _PASSING_CODES:
        return True
    if error.code == 404:
        # The namespace, or the definition of the kind, is about to be created.
        return True
    text = str(error)
    if error.code == 500:
        return bool(_WEBHOOK_NOT_READY.search(text) or _PASSING_INTERNAL.search(text))
    if error.code == 403:
        # The controller manager has not made the new namespace's service account yet.
        return "serviceaccount" in text and "not found" in text
    return error.code == 409 and "the object has been modified" in text


async def apply(
    client: Client,
    location: Location,
    body: dict[str, Any],
    *,
    manager: str,
    force: bool,
    dry_run: bool = False,
) -> tuple[dict[str, Any], list[str]]:
    """Apply an object once.

    Raises:
        FieldConflictError: other field managers own some of the fields.
        ImmutableFieldError: the server does not let a field change.
        OperationError: a volume claim is to grow, and its class does not let it.
        ApiError: the server refused for another reason.
        UnreachableError: there is no server.
    """
    try:
        return await client.apply(
            location.path, body, manager=manager, force=force, dry_run=dry_run
        )
    except ApiError as error:
        if error.code == 409 and error.causes:
            raise FieldConflictError(_conflict_message(location, error)) from error
        if error.code == 422 and _is_immutable(error):
            raise ImmutableFieldError(
                f"{error}. The field cannot change in place: run `pulumi up --replace URN`, or set "
                "the resource option replace_on_changes for it"
            ) from error
        if error.code == 403 and location.kind.kind == "PersistentVolumeClaim":
            # The server's own words are better than none.
            with contextlib.suppress(ApiError, UnreachableError):
                why = await growing.refusal(client, location.path, growing.requested(body))
                if why:
                    raise OperationError(why) from error
        raise


def _is_immutable(error: ApiError) -> bool:
    return "immutable" in str(error) or "updates to" in str(error)


def _conflict_message(location: Location, error: ApiError) -> str:
    owned: dict[str, list[str]] = {}
    for cause in error.causes:
        found = _OWNER.search(str(cause.get("message", "")))
        owner = found["owner"] if found else "another field manager"
        owned.setdefault(owner, []).append(str(cause.get("field", "")))
    listed = "; ".join(
        f'"{owner}" owns {", ".join(sorted(set(fields)))}' for owner, fields in owned.items()
    )
    return (
        f"field manager conflict on {location.kind.kind} {location.identity}: {listed}. Remove "
        "these fields from the program, let the resource option ignore_changes name them, or take "
        'them over with the annotation pulumi.com/patchForce: "true"'
    )
