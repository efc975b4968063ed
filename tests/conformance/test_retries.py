"""What passes by itself is waited for: a namespace, a kind, or a webhook that is not there yet."""

import secrets
import time

import pytest

from tests.conformance.cluster import Cluster
from tests.conformance.conftest import Make
from tests.conformance.manifests import CONFIG_MAP, config_map, custom_object, definition
from tests.conformance.protocol import OperationFailedError
from tests.conformance.test_await import later

WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


def test_a_namespace_may_come_later(make: Make, cluster: Cluster) -> None:
    name = f"conformance-{secrets.token_hex(4)}"
    later(1, lambda: cluster.create("/api/v1/namespaces", {"metadata": {"name": name}}))
    try:
        resource = make(CONFIG_MAP).create(config_map(name, "conf"))
        assert resource.identity == f"{name}/conf"
    finally:
        cluster.delete(f"/api/v1/namespaces/{name}")


def test_a_kind_may_come_later(make: Make, cluster: Cluster, namespace: str) -> None:
    group = f"{secrets.token_hex(4)}.conformance.invalid"
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    later(1, lambda: cluster.create(crds, definition(group)))
    try:
        widget = make(f"kubernetes:{group}/v1:Widget")
        widget.create(custom_object(group, namespace, "w"))
        assert widget.identity == f"{namespace}/w"
    finally:
        cluster.delete(f"{crds}/widgets.{group}")


def test_a_webhook_may_be_ready_later(make: Make, cluster: Cluster, namespace: str) -> None:
    name = f"conformance-{secrets.token_hex(4)}"
    cluster.create(
        WEBHOOKS,
        {
            "metadata": {"name": name},
            "webhooks": [
                {
                    "name": "refuses.conformance.invalid",
                    # Nothing listens on port 1: the API server's call is refused.
                    "clientConfig": {"url": "https://127.0.0.1:1/validate"},
                    "rules": [
                        {
                            "apiGroups": [""],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE"],
                            "resources": ["configmaps"],
                        }
                    ],
                    "namespaceSelector": {
                        "matchLabels": {"kubernetes.io/metadata.name": namespace}
                    },
                    "sideEffects": "None",
                    "admissionReviewVersions": ["v1"],
                    "failurePolicy": "Fail",
                }
            ],
        },
    )
    try:
        # The API server takes a moment to hear of the webhook.
        time.sleep(1)
        later(2, lambda: cluster.delete(f"{WEBHOOKS}/{name}"))
        began = time.monotonic()
        make(CONFIG_MAP).create(config_map(namespace, "conf"))
        assert time.monotonic() - began > 1
    finally:
        cluster.delete(f"{WEBHOOKS}/{name}")


def test_a_refusal_is_not_repeated(make: Make, namespace: str) -> None:
    inputs = config_map(namespace, "Not_A_Name")
    began = time.monotonic()
    with pytest.raises(OperationFailedError, match="Not_A_Name"):
        make(CONFIG_MAP).create(inputs)
    assert time.monotonic() - began < 5
