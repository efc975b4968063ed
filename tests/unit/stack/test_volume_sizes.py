import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mlops_stack.settings import Settings, SettingsError
from mlops_stack.volume_sizes import check

PREFIX = "urn:pulumi:dev::mlops-platform::"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"


def claim(parents: str, size: str, **more: Any) -> dict[str, Any]:
    return {
        "type": CLAIM,
        "urn": f"{PREFIX}{parents}${CLAIM}::data",
        "inputs": {"spec": {"resources": {"requests": {"storage": size}}}},
        "outputs": {"metadata": {"namespace": "mlops", "name": "data"}},
        **more,
    }


STATE = [
    {"type": "mlops:infra:S3Gateway", "urn": f"{PREFIX}mlops:infra:S3Gateway::s3", "inputs": {}},
    claim("mlops:infra:S3Gateway", "10Gi"),
    claim("mlops:platform:Mlflow", "2Gi"),
    claim("mlops:platform:KubeflowPipelines$mlops:platform:MariaDb", "2Gi"),
    claim("mlops:workloads:Notebook", "2Gi"),
    claim("mlops:workloads:SomebodyElses", "900Gi"),
    claim("mlops:infra:S3Gateway", "90Gi", delete=True),
]


def settings(**values: Any) -> Settings:
    return Settings.model_validate(values)


def unasked() -> str:
    raise AssertionError("the cluster is asked about a volume that does not grow")


@contextmanager
def cluster(storage_class: str, **fields: Any) -> Iterator[str]:
    """The kubeconfig of an API server with a claim of 2Gi and its class."""
    claim = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"namespace": "mlops", "name": "data"},
        "spec": {
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": "2Gi"}},
        },
    }
    found = {
        "/api/v1/namespaces/mlops/persistentvolumeclaims/data": claim,
        f"/apis/storage.k8s.io/v1/storageclasses/{storage_class}": {
            "kind": "StorageClass",
            **fields,
        },
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(found[self.path]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield kubeconfig(server.server_port)
    finally:
        server.shutdown()
        server.server_close()


def kubeconfig(port: int) -> str:
    return json.dumps(
        {
            "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "clusters": [{"name": "it", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "it", "user": {}}],
        }
    )


def test_sizes_that_stay_ask_the_cluster_nothing() -> None:
    check(settings(), STATE, kubeconfig=unasked)
    check(settings(objectStorageSize="10240Mi"), STATE, kubeconfig=unasked)
    check(settings(objectStorageSize="1Gi"), [], kubeconfig=unasked)


def test_a_volume_grows_where_its_class_lets_it() -> None:
    larger = settings(mlflowStorageSize="3Gi")
    with cluster("gp3", allowVolumeExpansion=True) as text:
        check(larger, STATE, kubeconfig=lambda: text)


def test_a_volume_whose_class_does_not_let_it_grow_is_refused_before_the_update() -> None:
    larger = settings(mlflowStorageSize="3Gi")
    said = (
        "mlflowStorageSize: PersistentVolumeClaim mlops/data has 2Gi and cannot grow to 3Gi: its "
        "StorageClass fixed does not set allowVolumeExpansion.*Ask for 2Gi.*nothing was changed"
    )
    with cluster("fixed") as text, pytest.raises(SettingsError, match=said):
        check(larger, STATE, kubeconfig=lambda: text)


def test_a_cluster_that_does_not_answer_refuses_no_growth() -> None:
    larger = settings(mlflowStorageSize="3Gi")
    check(larger, STATE, kubeconfig=lambda: kubeconfig(1))
    check(larger, STATE, kubeconfig=str)


@pytest.mark.parametrize(
    ("key", "wanted", "there"),
    [
        ("objectStorageSize", "9Gi", "10Gi"),
        ("mlflowStorageSize", "2G", "2Gi"),
        ("kubeflowStorageSize", "512Mi", "2Gi"),
        ("notebookStorageSize", "1Gi", "2Gi"),
    ],
)
def test_a_smaller_volume_is_refused_with_the_remedy(key: str, wanted: str, there: str) -> None:
    with pytest.raises(SettingsError, match=rf"{key} is {wanted}.*has {there}.*set {key} {there}"):
        check(settings(**{key: wanted}), STATE, kubeconfig=unasked)
