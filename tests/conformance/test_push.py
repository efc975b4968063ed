"""`make images PUSH=…` against Debian's registry on this machine's loopback."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mlops_stack.push import PushError, push
from mlops_stack.rehearsal.ports import free_port
from mlops_toolchain import images, layout
from tests.conformance.tools import find

pytestmark = [
    pytest.mark.skipif(
        find("docker-registry") is None, reason="no docker-registry; run `make toolchain`"
    ),
    pytest.mark.skipif(
        shutil.which("skopeo") is None and os.geteuid() != 0,
        reason="skopeo is not installed; as root the command installs it",
    ),
]

NAMES = ("kfp-driver", "argoexec")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    host = f"127.0.0.1:{free_port()}"
    configuration = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
        "http": {"addr": host},
    }
    file = tmp_path / "registry.json"
    file.write_text(json.dumps(configuration))
    program = str(find("docker-registry"))
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [program, "serve", str(file)], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _wait(host)
            yield host
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait(host: str) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            httpx.get(f"http://{host}/v2/").raise_for_status()
        except httpx.HTTPError:
            assert time.monotonic() < end
            time.sleep(0.1)
        else:
            return


def test_images_are_pushed_once_under_the_names_that_nodes_pull(
    registry: str, capsys: pytest.CaptureFixture[str]
) -> None:
    push(f"{registry}/mlops-aws", NAMES)
    first = capsys.readouterr().out
    for name in NAMES:
        short, tag = images.reference(name).rpartition("/")[2].split(":")
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        url = f"http://{registry}/v2/mlops-aws/{short}/manifests/{tag}"
        manifest = httpx.get(url, headers=accept).raise_for_status().json()
        for blob in (manifest["config"], *manifest["layers"]):
            there = httpx.head(f"http://{registry}/v2/mlops-aws/{short}/blobs/{blob['digest']}")
            assert int(there.headers["content-length"]) == blob["size"]
        assert f"/{short}:{tag} pushed" in first
    assert f"2 images are in {registry}/mlops-aws. Next:" in first
    push(f"{registry}/mlops-aws", NAMES)
    assert capsys.readouterr().out.count(" was there ") == len(NAMES)


def test_a_registry_that_does_not_answer_is_named() -> None:
    with pytest.raises(PushError, match=r"does not answer for 127\.0\.0\.1:9/mlops/kfp-driver"):
        push("127.0.0.1:9/mlops", NAMES)


@pytest.mark.parametrize("prefix", ["", "https://registry.example.org", "Registry/x", "a b", "a/b"])
def test_what_is_no_registry_is_refused(prefix: str) -> None:
    command = [sys.executable, "-m", "mlops_stack", "images", "--push", prefix]
    done = subprocess.run(
        command, cwd=layout.checkout(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "is no registry: PUSH takes a host and a folder" in done.stderr


def test_ecr_is_asked_for_access_and_a_refusal_is_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    with pytest.raises(PushError, match="ECR gives no access"):
        push("123456789012.dkr.ecr.eu-central-1.amazonaws.com/mlops-aws", NAMES)
