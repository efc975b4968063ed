"""boto3 clients for a moto server on this machine, and for nothing else."""

import functools
import os
import socket
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config


class AccountError(Exception):
    """The credentials lead to an account that the program does not allow."""


class NotLocalError(Exception):
    """The stand-in was not given a moto server of this machine."""


class Aws:
    """The services of one region, as a moto server plays them.

    Attributes:
        region: name of the region.
        endpoint: URL of the moto server.
    """

    def __init__(self, region: str) -> None:
        """Take the server from `AWS_ENDPOINT_URL`.

        Raises:
            NotLocalError: the variable is missing, or leads away from this machine.
        """
        self.region = region
        self.endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        if not _is_here(urlsplit(self.endpoint).hostname or ""):
            raise NotLocalError(
                f"this is the stand-in of the aws plugin, a test tool that needs a moto server of "
                f"this machine, but AWS_ENDPOINT_URL is {self.endpoint or 'not set'}; run "
                "`make rehearse`, or install Pulumi's aws plugin to reach AWS"
            )

    @functools.cache  # noqa: B019 - one instance per process
    def client(self, service: str) -> Any:
        """Return the client of a service; any credentials will do for moto."""
        make: Any = boto3.client  # its overloads want a literal name
        return make(
            service,
            region_name=self.region,
            endpoint_url=self.endpoint,
            aws_access_key_id="rehearsal",
            aws_secret_access_key="rehearsal",  # noqa: S106 - moto checks none
            config=Config(
                retries={"max_attempts": 2},
                s3={"addressing_style": "path"},
                parameter_validation=True,
            ),
        )


def _is_here(host: str) -> bool:
    """Return whether an address is one of this machine: only those can be listened on."""
    try:
        with socket.socket() as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return bool(host)
