"""A little real work of each service, so that what answers is known to work.

A health page is green while a database is gone, a page's own requests are refused, or the store
behind an address is another stack's.
"""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from mlops_infra import direct, object_store
from mlops_infra.endpoint import Endpoint
from mlops_infra.object_store import Connection, StoreAnswerError
from mlops_stack import serving_state
from mlops_stack.outputs import StackOutputs

# Asks a service; returns what is wrong, or None.
Probe = Callable[[], str | None]

_TIMEOUT_SECONDS: Final = 5
_RESTART: Final = "run `make up` to restart it"


def of(outputs: StackOutputs) -> dict[str, Probe]:
    """Return the probes of what a stack has, by the service's name.

    Args:
        outputs: the stack's outputs, secrets included.
    """
    found: dict[str, Probe] = {
        each.name: partial(_answers, each) for each in outputs.endpoints if each.url and each.health
    }
    if outputs.s3_access_key:  # AWS's own S3 has no keys of the stack
        found["S3"] = partial(_store, outputs)
    return found | serving_state.probes(outputs)


def _answers(endpoint: Endpoint) -> str | None:
    url = f"{endpoint.url}{endpoint.health}"
    if endpoint.body is None:
        return _http("GET", url)
    return _http("POST", url, json=endpoint.body, headers={"Origin": endpoint.url})


def _http(method: str, url: str, **options: Any) -> str | None:
    try:
        with direct.client(timeout=_TIMEOUT_SECONDS) as client:
            answer = client.request(method, url, **options)
    except httpx.HTTPError as problem:
        return f"does not answer ({type(problem).__name__}); {_RESTART}"
    if answer.is_success:
        return None
    return f"answers {answer.status_code}: {' '.join(answer.text.split())[:200]}"


def _store(outputs: StackOutputs) -> str | None:
    connection = Connection(
        endpoint=outputs.s3_url,
        region=outputs.s3_region,
        access_key=outputs.s3_access_key,
        secret_key=outputs.s3_secret_key,
    )
    try:
        with contextlib.closing(object_store.client(connection)) as s3:
            buckets = sorted(outputs.buckets.values())
            missing = [name for name in buckets if not object_store.bucket_exists(s3, name)]
    except (BotoCoreError, ClientError, StoreAnswerError) as problem:
        return f"does not answer a signed request ({problem}); {_RESTART}"
    return f"has no bucket {', '.join(missing)}; {_RESTART}" if missing else None
