"""The toolchain's shared cache in a bucket: the gateway, moto and any server that is named."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_toolchain import engine, keys
from mlops_toolchain.artefact import Artefact
from mlops_toolchain.build import is_built, record
from mlops_toolchain.progress import PlainProgress
from mlops_toolchain.shared_cache import places, s3_store
from mlops_toolchain.shared_cache.opening import open_store
from mlops_toolchain.shared_cache.push import is_pushed, push
from mlops_toolchain.shared_cache.store import NotThereError, Store, StoreError, TransferError
from tests.s3.stores import Gateway
from tests.s3.stores import Store as Server
from tests.unit.toolchain.small import add, empty_toolchain, small

_LINE = "head -c 20000000 /dev/urandom > large; sha256sum large > sum; ln -s large link"


def _name(monkeypatch: pytest.MonkeyPatch, server: Server, bucket: str, **other: str) -> None:
    """Set what a user sets."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    variables = {
        "AWS_ENDPOINT_URL_S3": server.connection.endpoint,
        "AWS_REGION": server.connection.region,
        "AWS_DEFAULT_REGION": server.connection.region,
        "AWS_ACCESS_KEY_ID": server.connection.access_key,
        "AWS_SECRET_ACCESS_KEY": server.connection.secret_key,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "MLOPS_SHARED_CACHE": f"s3://{bucket}/of/the/team",
    }
    for name, value in {**variables, **other}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Artefact]:
    table = empty_toolchain(monkeypatch, tmp_path / "cache")
    add(table, small("tool", _LINE))
    yield table["tool"]
    keys.key.cache_clear()


def _store() -> Store:
    store = open_store()
    assert store
    return store


def test_a_result_is_pushed_in_parts_and_fetched(  # noqa: PLR0917
    tool: Artefact,
    store: Server,
    s3: Any,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    _name(monkeypatch, store, bucket)
    assert not is_pushed(_store(), tool)
    engine.ensure(["tool"], PlainProgress())
    assert "fetched" not in record(tool)
    made = (keys.result(tool) / "large").read_bytes()
    push([tool])
    assert is_pushed(_store(), tool)
    names = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert f"of/the/team/{places.manifest_path(tool)}" in names
    assert len(names) == 2
    monkeypatch.setenv("MLOPS_CACHE", str(tmp_path / "another machine"))
    engine.ensure(["tool"], PlainProgress())
    assert record(tool)["fetched"] == f"s3://{bucket}/of/the/team"
    assert (keys.result(tool) / "link").read_bytes() == made


def test_what_is_not_there_is_told_from_a_refusal(
    tool: Artefact,
    store: Server,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _name(monkeypatch, store, bucket)
    assert _store().size("nothing") is None
    with pytest.raises(NotThereError), _store().read("nothing"):
        pass
    _name(monkeypatch, store, f"{bucket}-of-nobody")
    with pytest.raises(StoreError, match="refuses: NoSuchBucket") as error, _store().read("x"):
        pass
    assert not isinstance(error.value, NotThereError)
    engine.ensure(["tool"], PlainProgress())
    assert capsys.readouterr().out.count("the shared cache is not used: s3://") == 1


def test_a_refused_key_is_no_secret_told(
    tool: Artefact,
    store: Server,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if store.name == "moto":
        pytest.skip("moto knows no wrong keys")
    _name(monkeypatch, store, bucket, AWS_SECRET_ACCESS_KEY="swordfish")
    engine.ensure(["tool"], PlainProgress())
    shown = "".join(capfd.readouterr())
    assert re.search(r"the shared cache is not used: s3://\S+ refuses: \w+", shown)
    assert "swordfish" not in shown
    assert store.connection.access_key not in shown
    assert is_built(tool)


def test_a_server_that_goes_away_within_a_transfer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = Gateway(tmp_path / "gateway")
    gateway.start()
    try:
        gateway.store.client().create_bucket(Bucket="cache")
        gateway.store.client().put_object(
            Bucket="cache", Key="of/the/team/x", Body=b"x" * 50_000_000
        )
        _name(monkeypatch, gateway.store, "cache")
        monkeypatch.setattr(s3_store, "READ_SECONDS", 1)
        store = _store()
        with pytest.raises(TransferError, match="was cut"), store.read("x") as stream:
            assert len(stream.read(1000)) == 1000
            gateway.end(signal.SIGKILL)
            while stream.read(2**20):
                pass
        with pytest.raises(StoreError, match=r"does not answer \(EndpointConnectionError\)"):
            store.size("x")
    finally:
        gateway.end(signal.SIGKILL)


def test_keys_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("MLOPS_SHARED_CACHE", "s3://cache")
    with pytest.raises(StoreError, match="no keys for s3://cache: set AWS_ACCESS_KEY_ID"):
        _store().size("x")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "somebody:swordfish@host")
    with pytest.raises(StoreError, match="AWS_ENDPOINT_URL is no address") as error:
        _store()
    assert "swordfish" not in str(error.value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "swordfish")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://somebody:swordfish@host:port")
    with pytest.raises(StoreError, match="EndpointResolutionError") as error:
        _store().size("x")
    assert "swordfish" not in str(error.value)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StoreError, match="ProfileNotFound"):
        _store()
