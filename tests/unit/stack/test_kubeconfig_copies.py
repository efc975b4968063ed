"""No copy of a kubeconfig outlives the process that made it, however that ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_kubernetes.memory_file import memory_file

KUBECONFIG = "a kubeconfig with a key in it"
USERS = {
    "keeping": """
from mlops_stack.backup.pods import of_cluster
with of_cluster(sys.argv[1]) as pods:
    reads(pods._kubectl[-1].partition("=")[2])
""",
    "rollout": """
from mlops_rollout.kubectl import Access, Kubectl
with Kubectl(Access(kubeconfig=sys.argv[1]), "models").command("get", "pods") as words:
    reads(next(word for word in words if "kubeconfig=" in word).partition("=")[2])
""",
    "step logs": """
from mlops_platform.pipelines import step_logs
step_logs._kubectl = lambda config, *_: reads(str(config))
step_logs.reader(sys.argv[1])("run", "step")
""",
    "kind": """
from mlops_infra import kind_cluster
kind_cluster._run = lambda program, _, file, *words: reads(file)
kind_cluster._kubectl(sys.argv[1], "get", "nodes")
""",
    "draining": """
from mlops_infra.aws import drain
drain._kubectl = lambda file: reads(str(file))
drain.DrainProvider().delete("", {"kubeconfig": sys.argv[1]})
""",
}
PROGRAM = """
import subprocess
import sys
import time

def reads(path):
    # As kubectl does: another process.
    print(subprocess.run(["cat", path], capture_output=True, text=True).stdout, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("user", "end"),
    [("keeping", signal.SIGTERM), *((user, signal.SIGKILL) for user in USERS)],
)
def test_a_killed_process_leaves_no_copy(user: str, end: signal.Signals, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM + USERS[user], KUBECONFIG],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as printed:
        assert printed.readline().strip() == KUBECONFIG
        process.send_signal(end)
        process.wait()
    assert list(tmp_path.rglob("*")) == []


def test_a_file_in_memory_is_there_meanwhile_for_other_programs_alone() -> None:
    with memory_file(KUBECONFIG) as path:
        for _ in range(2):
            read = subprocess.run(["cat", path], capture_output=True, text=True, check=True)
            assert read.stdout == KUBECONFIG
    assert not path.exists()
