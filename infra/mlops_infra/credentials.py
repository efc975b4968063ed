"""Random credentials, generated once per stack and kept as Pulumi secrets."""

import secrets
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource

from mlops_infra.discreet_provider import DiscreetProvider

# Alphanumeric, because some S3 clients mangle keys that need escaping.
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
_ACCESS_KEY_LENGTH = 20
_SECRET_KEY_LENGTH = 40


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


class _CredentialsProvider(DiscreetProvider):
    """Generates at creation and never again; only a replacement gives new ones."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        access_key = _random(_ACCESS_KEY_LENGTH)
        return CreateResult(
            f"credentials-{secrets.token_hex(4)}",
            {**props, "access_key": access_key, "secret_key": _random(_SECRET_KEY_LENGTH)},
        )

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=False)


class Credentials(Resource, module="mlops", name="Credentials"):
    """A key pair in the form of S3 credentials.

    Attributes:
        access_key: 20 characters, secret.
        secret_key: 40 characters, secret.
    """

    access_key: pulumi.Output[str]
    secret_key: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            _CredentialsProvider(),
            name,
            {"access_key": None, "secret_key": None},
            pulumi.ResourceOptions.merge(
                opts,
                pulumi.ResourceOptions(additional_secret_outputs=["access_key", "secret_key"]),
            ),
        )
