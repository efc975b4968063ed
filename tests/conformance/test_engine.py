"""The plugin under the real engine: a Python program goes up, stays unchanged, and goes down."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_kubernetes import VERSION
from tests.conformance.cluster import Cluster
from tests.conformance.tools import SEARCH, find

PROGRAMS = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec")
MISSING = [name for name in PROGRAMS if find(name) is None]
PASSWORD = "correct-horse-battery-staple"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        bool(MISSING), reason=f"{', '.join(MISSING)} not on PATH; run `make toolchain`"
    ),
]

PROGRAM = """
import pulumi
import pulumi_kubernetes as k8s

size = pulumi.Config().get("size") or "1"
team = k8s.core.v1.Namespace("team")
here = {"namespace": team.metadata.name}
conf = k8s.core.v1.ConfigMap("conf", metadata=here, data={"size": size})
secret = k8s.core.v1.Secret("secret", metadata=here, string_data={"password": "PASSWORD"})
k8s.apps.v1.Deployment(
    "web",
    metadata=here,
    spec={
        "replicas": 0,
        "selector": {"match_labels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {
                        "name": "main",
                        "image": "conformance.invalid/none:1",
                        "resources": {"requests": {"cpu": "1000m"}},
                        "env": [{"name": "CONF", "value": conf.metadata.name}],
                    }
                ]
            },
        },
    },
)
group = k8s.yaml.v2.ConfigGroup(
    "group",
    yaml=team.metadata.name.apply(
        lambda name: f'''
apiVersion: v1
kind: ConfigMap
metadata: {{name: from-yaml, namespace: {name}}}
data: {{a: b}}
'''
    ),
)
pulumi.export("namespace", team.metadata.name)
pulumi.export("conf", conf.metadata.name)
pulumi.export("password", secret.string_data["password"])
"""


class Stack:
    """A stack of its own backend, run by the pulumi command."""

    def __init__(self, folder: Path, plugin: list[str], kubeconfig: Path) -> None:
        self.folder = folder / "program"
        self.folder.mkdir()
        (self.folder / "__main__.py").write_text(PROGRAM.replace("PASSWORD", PASSWORD))
        options = {"virtualenv": str(Path(sys.executable).parents[1])}
        project = {"name": "conformance", "runtime": {"name": "python", "options": options}}
        (self.folder / "Pulumi.yaml").write_text(json.dumps(project))
        place = folder / "home" / "plugins" / f"resource-kubernetes-v{VERSION}"
        place.mkdir(parents=True)
        launcher = place / "pulumi-resource-kubernetes"
        quoted = " ".join(f"'{part}'" for part in plugin)
        launcher.write_text(f'#!/bin/sh\nexec {quoted} "$@"\n')
        launcher.chmod(0o755)
        state = folder / "state"
        state.mkdir()
        self.environment = {
            **os.environ,
            "PATH": SEARCH,
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_CONFIG_PASSPHRASE": "conformance",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "KUBECONFIG": str(kubeconfig),
        }
        self.run("stack", "init", "conformance")

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(find("pulumi")), *arguments, "--non-interactive"],
            check=False,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def outputs(self) -> dict[str, str]:
        found = json.loads(self.run("stack", "output", "--json"))
        assert isinstance(found, dict)
        return found


@pytest.fixture
def stack(tmp_path: Path, plugin_command: list[str], kubeconfig: Path) -> Iterator[Stack]:
    made = Stack(tmp_path, plugin_command, kubeconfig)
    yield made
    made.run("destroy", "--yes", "--skip-preview")


def test_a_stack_goes_up_stays_as_it_is_and_goes_down(stack: Stack, cluster: Cluster) -> None:
    preview = stack.run("preview", "--diff")
    assert "7 to create" in preview
    assert PASSWORD not in preview

    stack.run("up", "--yes", "--skip-preview")
    outputs = stack.outputs()
    namespace = outputs["namespace"]
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    assert cluster.must_get(f"{maps}/from-yaml")["data"] == {"a": "b"}
    assert outputs["password"] == "[secret]"
    assert PASSWORD not in stack.run("stack", "export")

    stack.run("preview", "--expect-no-changes")
    stack.run("refresh", "--yes", "--skip-preview", "--expect-no-changes")

    stack.run("config", "set", "size", "2")
    stack.run("up", "--yes", "--skip-preview")
    changed = stack.outputs()["conf"]
    assert changed != outputs["conf"], "a ConfigMap is replaced under a new automatic name"
    assert cluster.must_get(f"{maps}/{changed}")["data"] == {"size": "2"}
    assert cluster.get(f"{maps}/{outputs['conf']}") is None

    cluster.merge(f"{maps}/{changed}", {"data": {"size": "drifted"}})
    assert '"2" => "drifted"' in stack.run("refresh", "--yes", "--skip-preview", "--diff")
    stack.run("destroy", "--yes", "--skip-preview")
    assert cluster.get(f"/api/v1/namespaces/{namespace}") is None
