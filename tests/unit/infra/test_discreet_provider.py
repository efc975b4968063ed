"""Errors of dynamic resources tell none of their secrets."""

import base64
import importlib
import json
import pkgutil
import traceback
from typing import Any

import pytest
from pulumi.dynamic import CreateResult, DiffResult, ResourceProvider

import mlops_infra
import mlops_platform
import mlops_workloads
from mlops_infra.discreet_provider import DiscreetProvider, RedactedError

SECRET = 'a "secret"\tkey'
KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIuqPpr8y3\n-----END EC PRIVATE KEY-----\n"
KUBECONFIG = json.dumps(
    {
        "clusters": [{"name": "dev", "cluster": {"server": "https://10.210.255.254:6443"}}],
        "users": [
            {
                "name": "admin",
                "user": {
                    "token": "token-of-the-admin",
                    "client-key-data": base64.b64encode(KEY.encode()).decode(),
                },
            }
        ],
    }
)
PROPERTIES = {
    "bucket": "models",
    "kubeconfig": KUBECONFIG,
    "connection": {"endpoint": "http://s3", "secret_key": SECRET},
}


class StoreError(Exception):
    """What a provider raises."""


class Failing(DiscreetProvider):
    """Quotes what it is given."""

    def __init__(self, message: str, cause: str = "") -> None:
        super().__init__()
        self.message, self.cause = message, cause

    def create(self, _props: dict[str, Any]) -> CreateResult:
        if not self.cause:
            raise StoreError(self.message)
        try:
            raise ValueError(self.cause)
        except ValueError as error:
            raise StoreError(self.message) from error

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        raise StoreError(self.message)


@pytest.mark.parametrize(
    "quoted",
    [SECRET, json.dumps(SECRET), repr(SECRET.encode()), "token-of-the-admin", KEY, KEY.split()[4]],
)
def test_an_error_that_quotes_a_secret_is_told_without_it(quoted: str) -> None:
    provider = Failing(f"bucket models: {quoted} is refused")
    with pytest.raises(RedactedError, match=r"bucket models: .*\[secret\].* is refused") as told:
        provider.create(PROPERTIES)
    shown = "".join(traceback.format_exception(told.value))
    assert quoted not in shown
    with pytest.raises(RedactedError):
        provider.diff("id", {}, PROPERTIES)


def test_a_cause_that_quotes_a_secret_is_not_told() -> None:
    with pytest.raises(RedactedError, match="the store refuses it") as told:
        Failing("the store refuses it", cause=f"SignatureDoesNotMatch: {SECRET}").create(PROPERTIES)
    assert SECRET not in "".join(traceback.format_exception(told.value))


def test_another_error_stays_as_it_is() -> None:
    with pytest.raises(StoreError, match=r"https://10\.210\.255\.254:6443 does not answer"):
        Failing("https://10.210.255.254:6443 does not answer").create(PROPERTIES)


def test_every_dynamic_provider_of_the_project_is_discreet() -> None:
    for package in (mlops_infra, mlops_platform, mlops_workloads):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    own = [each for each in _below(ResourceProvider) if each.__module__.startswith("mlops_")]
    assert len(own) > 10
    assert [each.__name__ for each in own if not issubclass(each, DiscreetProvider)] == []


def _below(kind: type) -> set[type]:
    return {each for sub in kind.__subclasses__() for each in (sub, *_below(sub))}
