import base64
import json
import ssl
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from mlops_kubernetes.credentials import authentication
from mlops_kubernetes.kubeconfig import Access, KubeconfigError, load
from mlops_kubernetes.settings import SettingError, parse


def config(**user: Any) -> dict[str, Any]:
    return {
        "current-context": "dev",
        "contexts": [
            {"name": "dev", "context": {"cluster": "c", "user": "u", "namespace": "team"}},
            {"name": "bare", "context": {"cluster": "c"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "https://192.0.2.1:6443/"}}],
        "users": [{"name": "u", "user": user}],
    }


def test_text_json_and_paths_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(config(token="t")))
    forms = (file.read_text(), json.dumps(config(token="t")), str(file))
    found = [load(form) for form in forms]
    assert {(a.server, a.namespace, a.context) for a in found} == {
        ("https://192.0.2.1:6443", "team", "dev")
    }


def test_the_environment_names_several_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    first.write_text(yaml.safe_dump({"current-context": "dev"}))
    second.write_text(yaml.safe_dump({**config(), "current-context": "bare"}))
    monkeypatch.setenv("KUBECONFIG", f"{first}:{second}:{tmp_path / 'missing'}")
    assert load("").context == "dev"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/nowhere/config", "no kubeconfig at /nowhere/config"),
        ("a: [\ntoken: s3cret", r"neither YAML nor JSON \(line"),
        ("- a\n- b", "not a map"),
        ("a: b\nc: d", "no current-context"),
    ],
)
def test_an_unusable_kubeconfig_is_named(text: str, message: str) -> None:
    with pytest.raises(KubeconfigError, match=message) as failed:
        load(text)
    assert "s3cret" not in str(failed.value)


def test_a_missing_context_is_answered_with_the_valid_ones() -> None:
    with pytest.raises(KubeconfigError, match="bare, dev"):
        load(json.dumps(config()), context="prod")


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    document = config()
    document["clusters"][0]["cluster"]["certificate-authority"] = "ca.pem"
    (tmp_path / "ca.pem").write_text("PEM")
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(document))
    assert load(str(file)).authority == "PEM"
    (tmp_path / "ca.pem").unlink()
    with pytest.raises(KubeconfigError, match="certificate-authority"):
        load(str(file))


def test_credentials_are_not_shown() -> None:
    assert "t0ken" not in repr(load(json.dumps(config(token="t0ken"))))


async def headers(access: Access) -> list[str | None]:
    """Return the credentials of two requests, of which the server refuses the first."""
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("Authorization"))
        return httpx.Response(401 if len(seen) == 1 else 200)

    transport = httpx.MockTransport(answer)
    auth = authentication(access, ssl.create_default_context())
    async with httpx.AsyncClient(transport=transport, auth=auth) as client:
        await client.get("https://192.0.2.1/")
        await client.get("https://192.0.2.1/")
    return seen


async def test_tokens_and_passwords_are_sent() -> None:
    assert (await headers(load(json.dumps(config(token="t")))))[0] == "Bearer t"
    basic = base64.b64encode(b"me:pw").decode()
    access = load(json.dumps(config(username="me", password="pw")))
    assert (await headers(access))[0] == f"Basic {basic}"


def command(tmp_path: Path, program: str) -> dict[str, Any]:
    script = tmp_path / "credentials.py"
    script.write_text(program)
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": [str(script)],
        "env": [{"name": "ANSWER", "value": "42"}],
    }


async def test_a_command_gives_credentials_and_is_asked_again_when_they_are_refused(
    tmp_path: Path,
) -> None:
    program = (
        "import json, os, pathlib\n"
        f"count = pathlib.Path({str(tmp_path / 'count')!r})\n"
        "n = int(count.read_text()) + 1 if count.exists() else 1\n"
        "count.write_text(str(n))\n"
        "assert json.loads(os.environ['KUBERNETES_EXEC_INFO'])['kind'] == 'ExecCredential'\n"
        "token = os.environ['ANSWER'] + '-' + str(n)\n"
        "print(json.dumps({'status': {'token': token}}))\n"
    )
    access = load(json.dumps(config(exec=command(tmp_path, program))))
    assert await headers(access) == ["Bearer 42-1", "Bearer 42-2", "Bearer 42-2"]


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import sys; sys.exit('no network')", "failed with code 1: no network"),
        ("print('s3cret')", "printed no ExecCredential"),
    ],
)
async def test_a_command_that_fails_is_named(tmp_path: Path, program: str, message: str) -> None:
    access = load(json.dumps(config(exec=command(tmp_path, program))))
    with pytest.raises(KubeconfigError, match=message) as failed:
        await headers(access)
    assert "s3cret" not in str(failed.value)


async def test_a_missing_command_and_an_old_provider_are_named() -> None:
    spec = {"apiVersion": "client.authentication.k8s.io/v1", "command": "/nowhere/login"}
    with pytest.raises(KubeconfigError, match=r"/nowhere/login.*install it"):
        await headers(load(json.dumps(config(exec=spec))))
    with pytest.raises(KubeconfigError, match="gcp"):
        await headers(load(json.dumps(config(**{"auth-provider": {"name": "gcp"}}))))


def test_settings_are_read_from_json_text_and_the_environment() -> None:
    found = parse(
        {"deleteUnreachable": "true", "kubeClientSettings": '{"timeout": 7}'},
        {"PULUMI_K8S_ENABLE_PATCH_FORCE": "true", "PULUMI_K8S_DELETE_UNREACHABLE": "false"},
    )
    assert found.delete_unreachable
    assert found.patch_force
    assert found.request_seconds == 7


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"kubeconfg": "x"}, "kubeconfg"),
        ({"deleteUnreachable": "perhaps"}, "deleteUnreachable"),
        ({"context": 3}, "context"),
        ({"kubeClientSettings": "x"}, "kubeClientSettings"),
    ],
)
def test_wrong_settings_are_refused(arguments: dict[str, Any], key: str) -> None:
    with pytest.raises(SettingError, match=key) as failed:
        parse(arguments, {})
    assert failed.value.key == key
