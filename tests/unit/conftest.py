"""Unit tests touch neither network, cluster nor the user's credentials."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

CHECKOUT = Path(__file__).resolve().parents[2]

# A busy machine is no failure; what hangs ends by pytest's own timeout.
settings.register_profile("mlops", deadline=None)
settings.load_profile("mlops")


@pytest.fixture(scope="package", autouse=True)
def _no_ambient_credentials_of_modules() -> Iterator[None]:
    """Keep them from fixtures that a module's tests share, which come before a test's own."""
    with pytest.MonkeyPatch.context() as patch:
        _delete_ambient_credentials(patch)
        yield


@pytest.fixture(autouse=True)
def _no_ambient_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    _delete_ambient_credentials(monkeypatch)


def _delete_ambient_credentials(patch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "PULUMI_", "KUBECONFIG")):
            patch.delenv(name)


@pytest.fixture(autouse=True)
def _open_event_loop() -> None:
    """Give Pulumi's outputs a loop: an asynchronous test before may have closed the thread's."""
    try:
        closed = asyncio.get_event_loop_policy().get_event_loop().is_closed()
    except RuntimeError:
        closed = True
    if closed:
        asyncio.set_event_loop(asyncio.new_event_loop())


@pytest.fixture
def checkout() -> Path:
    return CHECKOUT
