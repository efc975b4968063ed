"""What holds data in the stacks of earlier versions is neither deleted nor replaced by this one."""

import base64
import functools
import json
from pathlib import Path
from typing import Any

import dill
import pytest

from mlops_infra.bucket import BucketProvider
from mlops_infra.embedded_cluster import EmbeddedClusterProvider
from mlops_infra.node import ClusterStatus, Health, cluster
from mlops_kubernetes.diff import Policy, difference
from tests.unit import older_versions
from tests.unit.older_versions import CONFIGURATIONS, DATA

_VERSIONS = sorted(folder.name for folder in DATA.iterdir() if folder.is_dir())
# What identifies a resource of AWS, where its inputs hold it.
_AWS_IDENTITY = (
    "bucket",
    "clusterIdentifier",
    "dbName",
    "engine",
    "identifier",
    "name",
    "storageEncrypted",
)


@functools.cache
def made_by(version: str) -> dict[str, dict[str, dict[str, Any]]]:
    made: dict[str, dict[str, dict[str, Any]]] = json.loads(
        (DATA / version / "resources.json").read_text()
    )
    return made


def replaced(kind: str, olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
    """Return the inputs whose change replaces a resource, as its provider would."""
    if kind.startswith("kubernetes:"):
        return [str(p) for p in difference(olds, news, olds, Policy()).replaces]
    if kind.startswith("aws:"):
        return [key for key in _AWS_IDENTITY if olds.get(key) != news.get(key)]
    if kind.endswith(":EmbeddedCluster"):
        olds = {**olds, "resolved_network": "10.210.0.0/16"}
        provider = EmbeddedClusterProvider()
        assert not provider.check(olds, news).failures
        return list(provider.diff("unit", olds, news).replaces or [])
    if kind.endswith(":Bucket"):
        return list(BucketProvider().diff("unit", olds, news).replaces or [])
    # Its keys are made once, whatever its inputs.
    assert kind.endswith(":Credentials"), f"say here how {kind} is compared"
    return []


@pytest.fixture(autouse=True)
def running(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLOPS_STATE", str(tmp_path))
    monkeypatch.setattr(
        cluster, "read", lambda name: ClusterStatus(name=name, health=Health.HEALTHY)
    )


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("version", _VERSIONS)
def test_nothing_that_holds_data_is_deleted_or_replaced(version: str, configuration: str) -> None:
    before, now = made_by(version)[configuration], older_versions.holding_data(configuration)

    # A Pulumi resource is the same one by its URN.
    assert not set(before) - set(now), "deleted"
    changed = {
        urn: replaced(urn.rpartition("::")[0].rpartition("$")[2], olds, now[urn])
        for urn, olds in before.items()
    }
    assert not {urn: paths for urn, paths in changed.items() if paths}
    assert len(before) > 3


@pytest.mark.parametrize("version", _VERSIONS)
def test_the_state_of_a_stack_that_ran_is_taken_over(version: str) -> None:
    # The entries of its `pulumi stack export` that hold data, without secrets; its name is `unit`.
    exported = json.loads((DATA / version / "state.json").read_text())
    now = {
        urn.rpartition("$")[2]: inputs
        for urn, inputs in older_versions.holding_data("embedded").items()
    }
    changed = {}
    for entry in exported:
        place = entry["urn"].rpartition("$")[2]
        assert place in now, f"{place} would be deleted"
        olds = {**entry["inputs"], **entry["outputs"]}
        changed[place] = replaced(entry["type"], olds, _named_as(olds, now[place]))
    assert len(changed) == len(made_by(version)["embedded"])
    assert not {place: paths for place, paths in changed.items() if paths}


def _named_as(olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
    """Return the program's inputs with the name that Pulumi once made, as the provider does."""
    before = olds.get("metadata", {})
    if "pulumi.com/autonamed" not in before.get("annotations", {}) or "name" in news["metadata"]:
        return news
    made = {key: before[key] for key in ("name", "annotations")}
    return {**news, "metadata": {**news["metadata"], **made}}


def test_a_moved_claim_is_noticed() -> None:
    made = made_by("0.1.0")["embedded"]
    claims = [inputs for urn, inputs in made.items() if "PersistentVolumeClaim" in urn]
    assert len(claims) == 3
    for claim in claims:
        moved = {**claim, "spec": {**claim["spec"], "storageClassName": "another"}}
        assert replaced("kubernetes:core/v1:PersistentVolumeClaim", claim, moved)
        grown = {**claim, "spec": {**claim["spec"], "resources": {"requests": {"storage": "99Gi"}}}}
        assert not replaced("kubernetes:core/v1:PersistentVolumeClaim", claim, grown)


_PROVIDERS = json.loads((DATA / "0.1.0/providers.json").read_text())


@pytest.mark.parametrize("named", sorted(_PROVIDERS))
def test_the_providers_that_a_state_names_are_found(named: str) -> None:
    """A destroy reads them from the state: it does not run the program."""
    provider = dill.loads(base64.b64decode(_PROVIDERS[named]))  # noqa: S301 - of this repository
    assert type(provider).__name__ == named.rpartition(".")[2]
    assert callable(provider.delete)
