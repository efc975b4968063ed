"""The provider's own arguments: which are refused, what moves it, and what outlives a cluster."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.conformance.cluster import Cluster
from tests.conformance.manifests import CONFIG_MAP, config_map
from tests.conformance.protocol import OperationFailedError, Plugin, Resource
from tests.conformance.test_preview import NOWHERE


def kubeconfig_text(server: str, *, token: str = "t") -> str:  # noqa: S107
    cluster = {"server": server}
    return yaml.safe_dump(
        {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": token}}],
        }
    )


def test_another_cluster_replaces_the_provider_and_other_credentials_do_not(
    plugin: Plugin,
) -> None:
    here = kubeconfig_text("https://192.0.2.1:6443")
    renewed = kubeconfig_text("https://192.0.2.1:6443", token="other")
    there = kubeconfig_text("https://192.0.2.2:6443")
    assert not plugin.diff_config({"kubeconfig": here}, {"kubeconfig": renewed}).replaces
    assert plugin.diff_config({"kubeconfig": here}, {"kubeconfig": there}).replaces


def test_the_programs_own_identifier_decides_when_it_is_given(plugin: Plugin) -> None:
    olds = {"kubeconfig": kubeconfig_text("https://192.0.2.1"), "clusterIdentifier": "one"}
    news = {"kubeconfig": kubeconfig_text("https://192.0.2.2"), "clusterIdentifier": "one"}
    assert not plugin.diff_config(olds, news).replaces
    assert plugin.diff_config(olds, {**olds, "clusterIdentifier": "two"}).replaces
    # A program that begins to name its cluster has not moved by that.
    unnamed = {"kubeconfig": olds["kubeconfig"]}
    assert not plugin.diff_config(unnamed, olds).replaces
    assert plugin.diff_config(unnamed, news).replaces


def test_a_gone_clusters_objects_are_dropped_only_on_request(
    start: Callable[..., Plugin], kubeconfig: Path, namespace: str, cluster: Cluster
) -> None:
    alive = start(kubeconfig=str(kubeconfig))
    resource = Resource(plugin=alive, token=CONFIG_MAP, name="conf")
    resource.create(config_map(namespace, "conf"))

    resource.plugin = start(kubeconfig=NOWHERE)
    with pytest.raises(OperationFailedError, match=r"(?i)unreachable"):
        resource.delete()
    with pytest.raises(OperationFailedError):
        resource.refresh()

    resource.plugin = start(kubeconfig=NOWHERE, deleteUnreachable="true")
    resource.delete()
    assert resource.refresh().identity == ""
    assert cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/conf") is not None


def test_the_providers_namespace_is_the_default(
    start: Callable[..., Plugin], kubeconfig: Path, namespace: str
) -> None:
    plugin = start(kubeconfig=str(kubeconfig), namespace=namespace)
    inputs = config_map("")
    inputs["metadata"] = {"name": "conf"}
    resource = Resource(plugin=plugin, token=CONFIG_MAP, name="conf").create(inputs)
    assert resource.identity == f"{namespace}/conf"
    assert not resource.diff_to(inputs).diffs


def test_config_maps_and_secrets_change_in_place_when_the_provider_says_so(
    start: Callable[..., Plugin], kubeconfig: Path, namespace: str, cluster: Cluster
) -> None:
    plugin = start(kubeconfig=str(kubeconfig), enableConfigMapMutable="true")
    resource = Resource(plugin=plugin, token=CONFIG_MAP, name="conf")
    resource.create(config_map(namespace, "conf", a="1"))
    news = config_map(namespace, "conf", a="2")
    assert not resource.diff_to(news).replaces
    resource.update(news)
    found = cluster.must_get(f"/api/v1/namespaces/{namespace}/configmaps/conf")
    assert found["data"] == {"a": "2"}
