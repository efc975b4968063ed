"""Notebooks: JupyterLab behind its token, its volume, and the sample to its end."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest

from mlops_infra.node.layout import StateFolder
from tests.cluster.conftest import Kubectl
from tests.e2e.conftest import Commands
from tests.e2e.serving import wait

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

_POD = "notebook-0"
# Executes the sample as its user would, and prints it with its outputs.
_EXECUTE = """
import sys, nbclient, nbformat
sample = nbformat.read("flight_delay.ipynb", 4)
nbclient.NotebookClient(sample, timeout=600, kernel_name="python3").execute()
sys.stdout.write(nbformat.writes(sample))
"""


@pytest.fixture(scope="module")
def kubectl(whole_stack: Commands) -> Callable[..., str]:
    return partial(Kubectl(StateFolder.of(whole_stack.name).kubeconfig), "--namespace", "notebooks")


def _token(url: str) -> str:
    return httpx.URL(url).params["token"]


def test_the_server_refuses_who_has_no_token(whole_outputs: dict[str, Any]) -> None:
    contents = f"{whole_outputs['notebook_address']}/api/contents"
    assert httpx.get(contents).status_code == 403
    wrong = httpx.get(contents, headers={"Authorization": "token wrong"})
    assert wrong.status_code == 403


def test_it_answers_who_has_it(whole_outputs: dict[str, Any]) -> None:
    url = whole_outputs["notebook_url"]
    page = httpx.get(url, follow_redirects=True)
    assert page.status_code == 200
    assert "JupyterLab" in page.text
    headers = {"Authorization": f"token {_token(url)}"}
    found = httpx.get(f"{whole_outputs['notebook_address']}/api/contents", headers=headers)
    assert "flight_delay.ipynb" in {each["name"] for each in found.json()["content"]}


def test_the_token_is_in_no_process(
    kubectl: Callable[..., str], whole_outputs: dict[str, Any]
) -> None:
    seen = kubectl("exec", _POD, "--", "sh", "-c", "cat /proc/1/cmdline /proc/1/environ")
    assert "jupyterlab" in seen
    assert _token(whole_outputs["notebook_url"]) not in seen


def test_the_sample_runs_to_predictions_of_both_engines(kubectl: Callable[..., str]) -> None:
    done = json.loads(kubectl("exec", _POD, "--", "python3", "-c", _EXECUTE))
    text = "".join("".join(out.get("text", "")) for out in done["cells"][-1]["outputs"])
    said = {engine: json.loads(chances) for engine, _, chances in map(_line, text.splitlines())}
    assert set(said) == {"kserve", "seldon"}
    assert len(said["kserve"]) == 5
    assert all(0 <= chance <= 1 for chance in said["kserve"])
    assert said["kserve"] == pytest.approx(said["seldon"], abs=0.001)


def _line(text: str) -> tuple[str, str, str]:
    return text.partition(" ")


def test_what_its_user_keeps_survives_its_pod(
    kubectl: Callable[..., str], whole_outputs: dict[str, Any]
) -> None:
    change = "echo mine > kept.txt && echo changed > flight_delay.ipynb"
    kubectl("exec", _POD, "--", "sh", "-c", change)
    before = json.loads(kubectl("get", "pod", _POD, "--output", "json"))["metadata"]["uid"]
    kubectl("delete", "pod", _POD, "--wait=true")

    def ready() -> bool:
        found = json.loads(kubectl("get", "pods", "--output", "json"))["items"]
        return any(
            pod["metadata"]["uid"] != before
            and any(c.get("ready") for c in pod.get("status", {}).get("containerStatuses", []))
            for pod in found
        )

    wait(ready, "the notebook's next Pod")
    kept = kubectl("exec", _POD, "--", "cat", "kept.txt", "flight_delay.ipynb")
    assert kept.split() == ["mine", "changed"]
    # As it was, for who tests the same stack again.
    kubectl("exec", _POD, "--", "cp", "/usr/local/share/mlops-platform/flight_delay.ipynb", ".")
