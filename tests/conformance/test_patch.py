"""Patch resources: single fields of objects that somebody else owns."""

import pytest

from tests.conformance.cluster import Cluster
from tests.conformance.conftest import Make
from tests.conformance.manifests import CONFIG_MAP, config_map
from tests.conformance.protocol import CheckFailedError, OperationFailedError

TOKEN = f"{CONFIG_MAP}Patch"


def test_a_patch_sets_its_fields_and_gives_them_up(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/theirs"
    cluster.create(f"/api/v1/namespaces/{namespace}/configmaps", config_map(namespace, "theirs"))
    patch = make(TOKEN, "patch").create(config_map(namespace, "theirs", ours="1"))
    assert patch.identity == f"{namespace}/theirs"
    assert cluster.must_get(path)["data"] == {"key": "value", "ours": "1"}

    news = config_map(namespace, "theirs", ours="2")
    assert not patch.diff_to(news).replaces
    patch.update(news)
    assert cluster.must_get(path)["data"] == {"key": "value", "ours": "2"}

    patch.delete()
    assert cluster.must_get(path)["data"] == {"key": "value"}


def test_a_patch_needs_a_name_and_an_object(make: Make, namespace: str) -> None:
    with pytest.raises(CheckFailedError):
        make(TOKEN).check(config_map(namespace))
    with pytest.raises(OperationFailedError, match="not"):
        make(TOKEN).create(config_map(namespace, "nobody"))
