"""What the stand-in knows of one resource type."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from mlops_aws_standin.clients import Aws

Values = dict[str, Any]
Create = Callable[[Aws, Values], tuple[str, Values]]
Read = Callable[[Aws, str, Values], Values | None]
Update = Callable[[Aws, str, Values], None]
Delete = Callable[[Aws, str, Values], None]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a resource type is carried to boto3 calls.

    Attributes:
        create: makes it of its inputs; returns its id and its computed outputs.
        read: returns what AWS says of the properties that are compared, or None when it is gone;
            its arguments are the id and the state.
        delete: removes it; what is gone already may raise a "not found", which is ignored.
        update: brings the properties `in_place` to what the inputs say.
        in_place: properties that change without replacement.
        computed: outputs beside the inputs, unknown in a preview.
        name: the property that is named after the resource when the program does not, or empty.
        checked: whether moto checks it; False for what the stand-in keeps itself.
    """

    create: Create
    read: Read
    delete: Delete
    update: Update | None = None
    in_place: frozenset[str] = field(default_factory=frozenset)
    computed: tuple[str, ...] = ()
    name: str = ""
    checked: bool = True


def boto_tags(values: Values) -> list[dict[str, str]]:
    """Return a resource's tags as most of boto3's calls take them."""
    return [{"Key": k, "Value": v} for k, v in (values.get("tagsAll") or {}).items()]


def from_boto_tags(tags: list[dict[str, str]]) -> dict[str, str]:
    """Return tags as Pulumi writes them, without those that AWS adds."""
    return {t["Key"]: t["Value"] for t in tags if not t["Key"].startswith("aws:")}


def given(**arguments: Any) -> Values:
    """Return the arguments that are not None."""
    return {name: value for name, value in arguments.items() if value is not None}


def is_missing(error: ClientError) -> bool:
    """Return whether AWS says that something does not exist."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return "NotFound" in code or code.startswith("NoSuch") or code in ("404", "NoSuchEntity")
