"""The random id of a stack: made once, kept in the stack's state, written into all that it makes.

A name or a path is no identity: two checkouts call their stack `dev`, and a checkout that was lost
is cloned again at the same path.
"""

import uuid
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource

from mlops_infra.discreet_provider import DiscreetProvider

TYPE = "pulumi-python:dynamic/mlops:StackIdentity"
NAME = "identity"


def new_id() -> str:
    """Return an id that no other stack has."""
    return uuid.uuid4().hex


class OtherStackError(Exception):
    """The program was given another id than the stack's state holds."""


class StackIdentityProvider(DiscreetProvider):
    """Keeps what it was created with."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Remember the id."""
        return CreateResult(props["stack_id"], props)

    def diff(self, id_: str, _olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Refuse another id: everything that the stack has made bears the first.

        Raises:
            OtherStackError: it is another one.
        """
        if news["stack_id"] != id_:
            raise OtherStackError(
                f"this stack's id is {id_}, and the program was given {news['stack_id']}; run the "
                "make command again, which reads it from the state"
            )
        return DiffResult(changes=False)


class StackIdentity(Resource, module="mlops", name="StackIdentity"):
    """The stack's id in its state.

    Attributes:
        stack_id: the id.
    """

    stack_id: pulumi.Output[str]

    def __init__(
        self, name: str, *, stack_id: str, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(StackIdentityProvider(), name, {"stack_id": stack_id}, opts)
