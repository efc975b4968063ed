"""`make images PUSH=…`: the toolchain's images to a registry that nodes pull from."""

import base64
import ipaddress
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mlops_stack import report
from mlops_toolchain import host_packages, images
from mlops_toolchain.artefacts import PUSH_PACKAGES

_SECONDS_FOR_AN_IMAGE: Final = 1800
_PREFIX: Final = re.compile(
    # A first part without dot and port is a folder of Docker's own registry, by convention.
    r"(?P<host>localhost|[a-z0-9-]+(\.[a-z0-9-]+)+|[a-z0-9-]+(?=:))(:[0-9]+)?"
    r"(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
)
_ECR: Final = re.compile(
    r"(?P<account>[0-9]{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?"
)


class PushError(Exception):
    """Images cannot be pushed; the message names the reason and the remedy."""


def push(prefix: str, names: Sequence[str]) -> None:
    """Push images; one whose tag is in the registry already is not sent again.

    A tag is a hash of what its image is made of, so that equal tags are equal images.

    Args:
        prefix: registry and folder of the repositories, as in the setting `imageRegistry`.
        names: names of the project's images.

    Raises:
        PushError: the prefix is none, an image is not built, or the registry refuses.
        ToolchainError: skopeo cannot be installed.
    """
    found = _PREFIX.fullmatch(prefix)
    if found is None:
        raise PushError(
            f"{prefix!r} is no registry: PUSH takes a host and a folder, such as "
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com/mlops-aws"
        )
    if missing := [name for name in names if not images.is_there(name)]:
        raise PushError(f"not built yet: {', '.join(missing)}; run `make toolchain`")
    host_packages.ensure(PUSH_PACKAGES)
    with tempfile.TemporaryDirectory(prefix="mlops-push-") as folder:
        options = _options(prefix, found["host"], Path(folder))
        for number, name in enumerate(names, start=1):
            start = time.monotonic()
            target = f"{prefix}/{images.reference(name).rpartition('/')[2]}"
            done = "was there" if _is_there(target, options) else "pushed"
            if done == "pushed":
                _send(name, target, options)
            seconds = time.monotonic() - start
            report.plain(f"✓ {target} {done} ({seconds:.1f} s) [{number}/{len(names)}]")
    report.plain(
        f"\n{len(names)} images are in {prefix}. Next:\n"
        f"  pulumi config set imageRegistry {prefix}, `layers` all, and `make up` with that stack"
    )


def _options(prefix: str, host: str, folder: Path) -> list[str]:
    """Return skopeo's options for the registry: who asks, and whether by TLS."""
    options = [] if not _is_loopback(host) else ["--tls-verify=false"]
    if found := _ECR.fullmatch(host):
        file = folder / "auth.json"
        # Not on a command line, which every user of the machine could read.
        file.touch(mode=0o600)
        token = _ecr_token(found["region"])
        file.write_text(json.dumps({"auths": {prefix.partition("/")[0]: {"auth": token}}}))
        options.append(f"--authfile={file}")
    return options


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _ecr_token(region: str) -> str:
    """Return what ECR takes as user and password."""
    import boto3  # noqa: PLC0415 - half a second
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        answer = boto3.client("ecr", region_name=region).get_authorization_token()
    except (BotoCoreError, ClientError) as error:
        raise PushError(
            f"ECR gives no access: {error}; `aws sts get-caller-identity` must answer in this shell"
        ) from error
    token = str(answer["authorizationData"][0]["authorizationToken"])
    base64.b64decode(token, validate=True)
    return token


def _is_there(target: str, options: Sequence[str]) -> bool:
    asked = _skopeo("inspect", "--raw", *options, f"docker://{target}")
    if asked.returncode == 0:
        return True
    # Registries say it in these words, by their specification.
    if re.search(r"manifest unknown|name unknown|not found|NAME_UNKNOWN", asked.stderr):
        return False
    raise PushError(
        f"the registry does not answer for {target}: {_last(asked.stderr)}; log in to it "
        "(`skopeo login`), and look whether the repository exists"
    )


def _send(name: str, target: str, options: Sequence[str]) -> None:
    source = f"oci-archive:{images.archive(images.reference(name))}"
    renamed = [option.replace("--tls", "--dest-tls") for option in options]
    sent = _skopeo("copy", "--quiet", *renamed, source, f"docker://{target}")
    if sent.returncode:
        raise PushError(f"{target} was not pushed: {_last(sent.stderr)}")


def _skopeo(*arguments: str) -> "subprocess.CompletedProcess[str]":
    program = shutil.which("skopeo") or "skopeo"
    try:
        return subprocess.run(
            # Which signatures to ask for is about images of others.
            [program, "--insecure-policy", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS_FOR_AN_IMAGE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PushError(f"skopeo {arguments[0]} did not end: {error}") from error


def _last(text: str) -> str:
    """Return what skopeo's last line says, without time and level."""
    lines = text.strip().splitlines() or ["no reason given"]
    said = re.search(r'msg="(.*)"$', lines[-1])
    return said[1].replace('\\"', '"') if said else lines[-1]
