"""The CI files: valid, thin, pinned, and careful with what strangers send."""

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_toolchain import layout
from tests.unit.conftest import CHECKOUT

WORKFLOWS = sorted((CHECKOUT / ".github/workflows").glob("*.y*ml"))
ACTIONLINT = layout.bin_dir() / "actionlint"
COMMAND = re.compile(r"make [^\n]*\bpreview STACK=\"\$STACK\" FORMAT=markdown")


@pytest.mark.skipif(
    not ACTIONLINT.exists(), reason="needs actionlint; run `make toolchain`, which builds it"
)
def test_actionlint_has_nothing_to_say() -> None:
    result = subprocess.run(
        [ACTIONLINT, "-no-color", *WORKFLOWS], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="needs shellcheck")
def test_shellcheck_has_nothing_to_say() -> None:
    result = subprocess.run(
        ["shellcheck", CHECKOUT / ".github/comment.sh"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def test_every_action_is_pinned_by_commit() -> None:
    used = [
        step["uses"]
        for file in WORKFLOWS
        for job in yaml.safe_load(file.read_text())["jobs"].values()
        for step in job["steps"]
        if "uses" in step
    ]
    assert used
    assert all(re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", action) for action in used)


def test_strangers_get_no_secret_and_no_code_in_a_script() -> None:
    text = (CHECKOUT / ".github/workflows/preview.yaml").read_text()
    workflow = yaml.safe_load(text)
    # YAML 1.1 reads the key `on` as true.
    assert set(workflow[True]) == {"pull_request"}
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in text
    for step in workflow["jobs"]["preview"]["steps"]:
        assert "${{" not in step.get("run", "")


def test_all_three_run_the_same_command() -> None:
    for name in (".github/workflows/preview.yaml", ".gitlab-ci.yml", "Jenkinsfile"):
        assert COMMAND.search((CHECKOUT / name).read_text()), name


def test_gitlab_runs_it_for_merge_requests_and_keeps_the_page() -> None:
    job = yaml.safe_load((CHECKOUT / ".gitlab-ci.yml").read_text())["preview"]
    assert "merge_request_event" in job["rules"][0]["if"]
    assert job["artifacts"]["paths"] == ["preview.md"]
    assert job["artifacts"]["when"] == "always"


PUSH = "make toolchain cache-push"


def test_previews_fetch_from_the_shared_cache_without_a_key() -> None:
    workflow = yaml.safe_load((CHECKOUT / ".github/workflows/preview.yaml").read_text())
    environment = workflow["jobs"]["preview"]["env"]
    assert environment["MLOPS_SHARED_CACHE"] == "${{ vars.MLOPS_SHARED_CACHE }}"
    assert PUSH not in (CHECKOUT / ".github/workflows/preview.yaml").read_text()
    # GitLab's and Jenkins' variables are in a job's environment.
    gitlab = yaml.safe_load((CHECKOUT / ".gitlab-ci.yml").read_text())
    assert "MLOPS_SHARED_CACHE" not in gitlab["preview"]["variables"]


def test_only_main_pushes_to_the_shared_cache_and_only_where_it_is_named() -> None:
    text = (CHECKOUT / ".github/workflows/toolchain.yaml").read_text()
    workflow = yaml.safe_load(text)
    assert workflow[True] == {"push": {"branches": ["main"]}, "workflow_dispatch": None}
    job = workflow["jobs"]["push"]
    assert job["if"] == "vars.MLOPS_SHARED_CACHE_PUSH != '' && github.ref == 'refs/heads/main'"
    assert job["env"]["MLOPS_SHARED_CACHE"] == "${{ vars.MLOPS_SHARED_CACHE_PUSH }}"
    # Keys are in the environment of the one step that needs them.
    assert job["steps"][-1]["run"] == PUSH
    assert text.count("secrets.") == str(job["steps"][-1]["env"]).count("secrets.") == 2
    job = yaml.safe_load((CHECKOUT / ".gitlab-ci.yml").read_text())["toolchain"]
    (rule,) = job["rules"]
    assert rule["if"] == "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH && $MLOPS_SHARED_CACHE_PUSH"
    assert job["script"] == [PUSH]
    stage = (CHECKOUT / "Jenkinsfile").read_text().partition("stage('Toolchain')")[2]
    assert re.search(r"branch 'main'\s+expression \{ env\.MLOPS_SHARED_CACHE_PUSH \}", stage)
    assert PUSH in stage


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ({"BACKEND": "", "PASSPHRASE": ""}, "none none"),
        ({"BACKEND": "s3://state", "PASSPHRASE": "it's $(secret)"}, "s3://state it's $(secret)"),
    ],
)
def test_a_reaper_without_secrets_uses_the_checkouts_own_state(
    tmp_path: Path, given: dict[str, str], passed: str
) -> None:
    job = yaml.safe_load((CHECKOUT / ".github/workflows/reap.yaml").read_text())["jobs"]["reap"]
    checkout, step = job["steps"]
    assert checkout["with"]["clean"] is False
    assert set(step["env"]) == set(given)
    assert "env" not in job
    make = tmp_path / "make"
    make.write_text(
        "#!/bin/sh\n"
        'printf "%s %s" "${PULUMI_BACKEND_URL-none}" "${PULUMI_CONFIG_PASSPHRASE-none}"\n'
    )
    make.chmod(0o755)
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", step["run"]],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", **given},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == passed


class _Comments:
    """As much of the API as comments need."""

    def __init__(self, existing: list[dict[str, Any]]) -> None:
        import json  # noqa: PLC0415

        self.comments = existing
        self.requests: list[tuple[str, str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                if self.headers["Authorization"] != "Bearer t0ken":
                    self.send_error(401)
                    return
                path, _, query = self.path.partition("?")
                page = int(re.search(r"page=(\d+)$", query)[1]) if query else 1  # type: ignore[index]
                if self.command == "GET":
                    answer = outer.comments[(page - 1) * 100 : page * 100]
                else:
                    outer.requests.append((self.command, path, json.loads(body)["body"]))
                    answer = []
                data = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = _answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def page(tmp_path: Path) -> Path:
    file = tmp_path / "preview.md"
    file.write_text("## Preview\n\n" + "long line of a long page\n" * 4000)
    return file


def _run(api: _Comments, page: Path) -> Iterator[str]:
    port = api.server.server_address[1]
    subprocess.run(
        [CHECKOUT / ".github/comment.sh", page, "mlops-preview-dev"],
        env={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "GITHUB_API_URL": f"http://127.0.0.1:{port}",
            "GITHUB_REPOSITORY": "owner/repository",
            "GITHUB_TOKEN": "t0ken",
            "NUMBER": "7",
        },
        check=True,
        timeout=30,
    )
    api.server.shutdown()
    api.server.server_close()
    yield from (f"{method} {path}" for method, path, _ in api.requests)


def _comment(number: int, body: str, kind: str = "Bot") -> dict[str, Any]:
    return {"id": number, "body": body, "user": {"type": kind}}


needs_tools = pytest.mark.skipif(
    not (shutil.which("jq") and shutil.which("curl")), reason="needs jq and curl"
)


@needs_tools
def test_the_first_comment_is_new_and_fits(page: Path) -> None:
    # A person who quotes the marker is not overwritten.
    api = _Comments([_comment(1, "<!-- mlops-preview-dev -->\nmine", kind="User")])
    assert list(_run(api, page)) == ["POST /repos/owner/repository/issues/7/comments"]
    body = api.requests[0][2]
    assert body.startswith("<!-- mlops-preview-dev -->\n## Preview")
    assert len(body) < 65536


@needs_tools
def test_a_later_one_replaces_it_even_on_the_second_page(page: Path) -> None:
    others = [_comment(n, "<!-- mlops-preview-aws -->\nother") for n in range(100)]
    api = _Comments([*others, _comment(500, "<!-- mlops-preview-dev -->\nold")])
    assert list(_run(api, page)) == ["PATCH /repos/owner/repository/issues/comments/500"]
