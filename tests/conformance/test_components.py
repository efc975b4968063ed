"""Components: manifests become children, in an order in which they can be made."""

from pathlib import Path
from typing import Any

import pytest

from mlops_kubernetes.paths import PropertyPath
from mlops_kubernetes.values import UNKNOWN, decode
from tests.conformance.protocol import OperationFailedError, Plugin, RecordingMonitor
from tests.conformance.tools import find

GROUP = "kubernetes:yaml/v2:ConfigGroup"
FILE = "kubernetes:yaml/v2:ConfigFile"
DIRECTORY = "kubernetes:kustomize/v2:Directory"
CHART = "kubernetes:helm.sh/v4:Chart"

MANIFEST = """
apiVersion: example.conformance.invalid/v1
kind: Widget
metadata: {name: w, namespace: team}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: conf}
  data: {day: "2024-01-01", time: "12:30"}
- apiVersion: v1
  kind: Namespace
  metadata: {name: team}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.conformance.invalid}
spec:
  group: example.conformance.invalid
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions: [{name: v1, served: true, storage: true}]
---
# nothing
---
apiVersion: v1
kind: Secret
metadata: {name: credentials, namespace: team}
stringData: {password: s3cret-value}
"""
NAMES = {
    "app:team/w",
    "app:default/conf",
    "app:team",
    "app:widgets.example.conformance.invalid",
    "app:team/credentials",
}


def dependencies(monitor: RecordingMonitor, name: str) -> set[str]:
    return {urn.rpartition("::")[2] for urn in monitor.children()[name].dependencies}


def inputs_of(monitor: RecordingMonitor, name: str) -> dict[str, Any]:
    return decode(monitor.children()[name].object).value


def test_each_object_becomes_a_child_named_after_it(plugin: Plugin) -> None:
    monitor, state = plugin.construct(GROUP, "app", {"yaml": MANIFEST})
    assert set(monitor.children()) == NAMES
    assert monitor.children()["app:default/conf"].type == "kubernetes:core/v1:ConfigMap"
    assert len(state.value["resources"]) == len(NAMES)
    assert inputs_of(monitor, "app:default/conf")["data"] == {"day": "2024-01-01", "time": "12:30"}


def test_definitions_and_namespaces_come_before_what_needs_them(plugin: Plugin) -> None:
    monitor, _ = plugin.construct(GROUP, "app", {"yaml": MANIFEST})
    assert dependencies(monitor, "app:team/w") == {
        "app:team",
        "app:widgets.example.conformance.invalid",
    }
    assert dependencies(monitor, "app:team/credentials") == {"app:team"}
    assert dependencies(monitor, "app:default/conf") == set()


def test_an_annotation_adds_dependencies(plugin: Plugin) -> None:
    manifest = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: second
  annotations: {config.kubernetes.io/depends-on: /namespaces/default/ConfigMap/first}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: first}
"""
    monitor, _ = plugin.construct(GROUP, "app", {"yaml": manifest})
    assert dependencies(monitor, "app:default/second") == {"app:default/first"}


def test_the_prefix_may_be_chosen_and_awaits_skipped(plugin: Plugin) -> None:
    inputs = {"yaml": MANIFEST, "resourcePrefix": "mine", "skipAwait": True}
    monitor, _ = plugin.construct(GROUP, "app", inputs)
    assert set(monitor.children()) == {name.replace("app:", "mine:") for name in NAMES}
    metadata = inputs_of(monitor, "mine:default/conf")["metadata"]
    assert metadata["annotations"]["pulumi.com/skipAwait"] == "true"


def test_secrets_of_manifests_and_programs_are_secret(plugin: Plugin) -> None:
    monitor, _ = plugin.construct(GROUP, "app", {"yaml": MANIFEST})
    assert (
        PropertyPath(("stringData",))
        in decode(monitor.children()["app:team/credentials"].object).secrets
    )

    objs = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}}
    ]
    marked = [PropertyPath(("objs", 0, "data", "a"))]
    monitor, _ = plugin.construct(GROUP, "app", {"objs": objs}, marked)
    secrets = decode(monitor.children()["app:default/c"].object).secrets
    assert any(PropertyPath(("data", "a")).starts_with(path) for path in secrets)


def test_files_are_read_by_path_and_by_pattern(plugin: Plugin, tmp_path: Path) -> None:
    for name in ("one", "two"):
        text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    monitor, _ = plugin.construct(GROUP, "app", {"files": [str(tmp_path / "*.yaml")]})
    assert set(monitor.children()) == {"app:default/one", "app:default/two"}
    monitor, _ = plugin.construct(FILE, "app", {"file": str(tmp_path / "one.yaml")})
    assert set(monitor.children()) == {"app:default/one"}
    with pytest.raises(OperationFailedError, match=r"none\.yaml"):
        plugin.construct(FILE, "app", {"file": str(tmp_path / "none.yaml")})


@pytest.mark.skipif(find("kubectl") is None, reason="kubectl renders kustomizations")
def test_a_kustomization_is_rendered(plugin: Plugin, tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("namePrefix: dev-\nresources: [conf.yaml]\n")
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\n"
    (tmp_path / "conf.yaml").write_text(text)
    monitor, _ = plugin.construct(
        DIRECTORY, "app", {"directory": str(tmp_path), "namespace": "team"}
    )
    assert set(monitor.children()) == {"app:team/dev-conf"}
    answer = plugin.invoke("kubernetes:kustomize:directory", {"directory": str(tmp_path)})
    assert answer.value["result"][0]["metadata"]["name"] == "dev-conf"


@pytest.mark.skipif(find("helm") is None, reason="helm renders charts")
def test_a_chart_on_this_machine_is_rendered(plugin: Plugin, tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: demo\nversion: 0.1.0\n")
    (tmp_path / "values.yaml").write_text("size: 1\n")
    (templates / "conf.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-conf}\n"
        'data: {size: "{{ .Values.size }}"}\n'
    )
    inputs = {"chart": str(tmp_path), "namespace": "team", "values": {"size": 7}}
    monitor, _ = plugin.construct(CHART, "app", inputs)
    assert inputs_of(monitor, "app:team/app-conf")["data"] == {"size": "7"}


def test_the_version_1_components_decode_yaml_here(plugin: Plugin) -> None:
    answer = plugin.invoke("kubernetes:yaml:decode", {"text": MANIFEST, "defaultNamespace": "x"})
    kinds = [value["kind"] for value in answer.value["result"]]
    assert kinds == ["Widget", "List", "CustomResourceDefinition", "Secret"]


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("a: [", "YAML"),
        ("kind: ConfigMap", "kind"),
        ("apiVersion: v1\nkind: ConfigMap", "name"),
        ("- just\n- a list", "object"),
    ],
)
def test_an_unusable_manifest_is_refused(plugin: Plugin, manifest: str, message: str) -> None:
    with pytest.raises(OperationFailedError, match=message):
        plugin.construct(GROUP, "app", {"yaml": manifest})


def test_in_a_preview_children_may_have_unknown_fields_but_not_unknown_names(
    plugin: Plugin,
) -> None:
    def obj(name: object) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name},
            "data": {"a": UNKNOWN},
        }

    monitor, _ = plugin.construct(GROUP, "app", {"objs": [obj("c")]})
    assert inputs_of(monitor, "app:default/c")["data"] == {"a": UNKNOWN}
    monitor, state = plugin.construct(GROUP, "app", {"objs": [obj(UNKNOWN)]})
    assert monitor.children() == {}
    assert state.value["resources"] is UNKNOWN
