"""A cluster and a registry of dictionaries, whose caller may die before any of its calls."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from mlops_rollout import gateway, lease, promotion, rollout
from mlops_rollout.engine import ModelServer, Version
from mlops_rollout.errors import ServingError
from mlops_rollout.registry import RegisteredVersion, Registry
from mlops_rollout.sample import Sample

SERVER = ModelServer(
    engine="seldon",
    namespace="seldon",
    server="local/server:1",
    model="flight-delay",
    credentials="store",
    artifacts="s3://artifacts/mlflow",
    log_bucket="artifacts",
    log_rate=1.0,
    name="flight-delay",
)
ONE, TWO = (Version(number=n, uri=f"mlflow-artifacts:/1/models/m{n}") for n in "12")
LATE = [True, False, True, False]


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


class Cluster:
    """Manifests, the gateway with its routes, and the registry's content."""

    def __init__(self) -> None:
        self.manifests: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, dict[str, Any]] = {}
        self.template: dict[str, str] = {}
        # What nginx has read.
        self.loaded: dict[str, str] = {}
        self.version = self.pod = self.calls = self.made = 0
        self.done: list[str] = []
        self.broken: set[str] = set()
        # How the next rollouts of the gateway go that do not end: its Pod has "read" the routes, or
        # "not".
        self.slow: list[str] = []
        self.unfinished = False
        self.dies_at = 0
        self.dead = False
        self.aliases: dict[str, str] = {}
        self.tags: dict[str, str] = {}

    def call(self) -> None:
        """Count a call of the process, which may be dead before it."""
        self.calls += 1
        if self.dies_at and self.calls >= self.dies_at:
            self.dead = True
        if self.dead:
            raise Killed

    @property
    def routes(self) -> dict[str, str]:
        found: dict[str, str] = self.objects.get(gateway.ROUTES, {}).get("data", {})
        return found

    def serving(self) -> set[str]:
        return {
            body["metadata"]["labels"]["mlops-platform/version"] for body in self.manifests.values()
        }

    def asked(self) -> set[str]:
        """Return the manifests that a gateway asks, be it now or after it starts again."""
        text = "".join((*self.routes.values(), *self.loaded.values()))
        return {each.partition("-default.")[0] for each in text.split() if "-default." in each}


class FakeKubectl:
    """One namespace of the cluster."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace

    def get(self, *words: str) -> list[dict[str, Any]]:
        cluster = self._cluster
        cluster.call()
        kind, _, name = words[0].partition("/")
        if kind in ("configmap", "lease"):
            return [cluster.objects[name]] if name in cluster.objects else []
        if kind == "deployments":
            return [self._gateway()]
        if kind == "pods":
            return [{"metadata": {"uid": str(cluster.pod)}}]
        if kind == "seldondeployment":
            return self._deployment(name)
        key, _, value = words[1].removeprefix("--selector=").partition("=")
        return [
            body
            for body in cluster.manifests.values()
            if body["metadata"]["labels"].get(key) == value
        ]

    def _gateway(self) -> dict[str, Any]:
        counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), 1)
        if self._cluster.unfinished:
            counts["replicas"] = 2
        return {
            "metadata": {"name": "gateway", "generation": 1},
            "spec": {"template": {"metadata": {"annotations": dict(self._cluster.template)}}},
            "status": {**counts, "observedGeneration": 1},
        }

    def _deployment(self, name: str) -> list[dict[str, Any]]:
        body = self._cluster.manifests.get(name)
        if body is None:
            return []
        broken = body["metadata"]["labels"]["mlops-platform/version"] in self._cluster.broken
        status = {
            "state": "Failed" if broken else "Available",
            "description": "no such file",
            "observedGeneration": 1,
            "conditions": [{"reason": "NotSupported"}] if broken else [],
        }
        return [{**body, "status": status}]

    def write(self, verb: str, manifest: Mapping[str, Any]) -> str:
        cluster = self._cluster
        cluster.call()
        if "generateName" not in manifest["metadata"]:
            return self._written(verb, manifest)
        cluster.made += 1
        name = f"{manifest['metadata']['generateName']}{cluster.made}"
        cluster.manifests[name] = {
            **manifest,
            "metadata": {**manifest["metadata"], "name": name, "generation": 1},
        }
        cluster.done.append(f"create {name.partition('-v')[2][0]}")
        return name

    def _written(self, verb: str, manifest: Mapping[str, Any]) -> str:
        cluster, metadata = self._cluster, manifest["metadata"]
        name = str(metadata["name"])
        old = cluster.objects.get(name)
        if verb == "create" and old:
            raise ServingError("kubectl create failed: AlreadyExists")
        if old and metadata["resourceVersion"] != old["metadata"]["resourceVersion"]:
            raise ServingError("kubectl replace failed: Conflict")
        cluster.version += 1
        changed = {**metadata, "resourceVersion": str(cluster.version)}
        cluster.objects[name] = {**manifest, "metadata": changed}
        if manifest["kind"] == "ConfigMap" and (old or {}).get("data") != manifest["data"]:
            cluster.done.append("route")
        return name

    def post(self, _service: str, _port: int, _path: str, _body: Any) -> dict[str, Any]:
        self._cluster.call()
        name = _service.removesuffix("-default")
        labels = self._cluster.manifests[name]["metadata"]["labels"]
        self._cluster.done.append(f"ask {labels['mlops-platform/version']}")
        return {
            "data": {"ndarray": [[0.9 if late else 0.1] for late in LATE]},
            "meta": {"tags": {"model_version": labels["mlops-platform/version"]}},
        }

    def run(self, *words: str, **_options: Any) -> str:
        cluster = self._cluster
        cluster.call()
        if words[0] == "patch":
            change = json.loads(words[-1])["spec"]["template"]["metadata"]["annotations"]
            cluster.template |= change
            how = cluster.slow.pop(0) if cluster.slow else ""
            cluster.unfinished = bool(how)
            if how != "not":
                cluster.pod += 1
                cluster.loaded = dict(cluster.routes)
        if words[0] == "rollout" and cluster.unfinished:
            raise ServingError("kubectl rollout failed: timed out waiting for the condition")
        if words[0] == "delete":
            for each in words[1:-1]:
                name = each.partition("/")[2]
                del cluster.manifests[name]
                cluster.done.append(f"delete {name.partition('-v')[2][0]}")
        return ""


class FakeRegistry(Registry):
    """MLflow's answers, from the cluster's dictionaries; there are versions 1 and 2."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__("http://mlflow", "flight-delay")
        self._cluster = cluster

    def _asked(self, method: str, path: str, **content: Any) -> dict[str, Any] | None:
        cluster = self._cluster
        cluster.call()
        given = content.get("fields") or content["json"]
        match method, path:
            case "GET", "registered-models/alias":
                number = cluster.aliases.get(given["alias"], "")
                return {"model_version": self._body(number)} if number else None
            case "GET", "model-versions/get":
                number = given["version"]
                return {"model_version": self._body(number)} if number in ("1", "2") else None
            case "GET", "model-versions/get-download-uri":
                return {"artifact_uri": f"mlflow-artifacts:/1/models/m{given['version']}"}
            case "POST", "model-versions/set-tag":
                cluster.tags[given["version"]] = given["value"]
            case "POST", "registered-models/alias":
                cluster.aliases[given["alias"]] = given["version"]
            case "DELETE", "registered-models/alias":
                cluster.aliases.pop(given["alias"], None)
        return {}

    def _body(self, number: str) -> dict[str, Any]:
        tag = self._cluster.tags.get(number)
        tags = [{"key": "canary_percent", "value": tag}] if tag is not None else []
        return {"version": number, "run_id": "", "tags": tags}


class Time:
    """Time that passes only where someone waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def world(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Return a cluster that the rollout's modules reach."""
    made = Cluster()
    for module in (rollout, promotion):
        monkeypatch.setattr(
            module, "Kubectl", lambda _access, namespace: FakeKubectl(made, namespace)
        )
    monkeypatch.setattr(lease, "time", Time())
    return made


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return world(monkeypatch)


def sample() -> Sample:
    return Sample(rows=[{"carrier": "UA"}] * len(LATE), labels=LATE)


def registered(registry: Registry, number: str) -> RegisteredVersion:
    found = registry.by_number(number)
    assert found
    return found
