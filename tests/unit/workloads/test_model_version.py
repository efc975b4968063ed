"""The champion as a resource; finding it in a real registry is tested end to end."""

from typing import Any

import pytest

from mlops_platform.tracking import model_version
from mlops_platform.tracking.model_version import ModelNotFoundError, ModelVersionProvider

PROPS: dict[str, Any] = {"tracking_uri": "http://a", "model": "m", "after": "t"}
FOUND = {
    "version": "3",
    "run_id": "r",
    "metrics": {"roc_auc": 0.7},
}


def _registry(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any] | None) -> None:
    monkeypatch.setattr(model_version, "find_champion", lambda *_arguments: answer)


def test_what_the_registry_knows_becomes_the_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    _registry(monkeypatch, FOUND)
    created = ModelVersionProvider().create(PROPS)
    assert (created.id, created.outs) == ("m", {**PROPS, **FOUND})
    assert ModelVersionProvider().read("m", PROPS).outs == created.outs


def test_a_registry_without_a_champion_is_an_error_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _registry(monkeypatch, None)
    with pytest.raises(ModelNotFoundError, match="look at the pipeline's last run"):
        ModelVersionProvider().create(PROPS)


def test_a_version_that_was_removed_leaves_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    _registry(monkeypatch, None)
    assert ModelVersionProvider().read("m", PROPS).id == ""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (False, [])),
        ({"tracking_uri": "http://b"}, (True, [])),
        ({"after": "u"}, (True, [])),
        ({"model": "n"}, (True, ["model"])),
    ],
)
def test_diff(changes: dict[str, Any], expected: tuple[bool, list[str]]) -> None:
    found = ModelVersionProvider().diff("m", {**PROPS, **FOUND}, {**PROPS, **changes})
    assert (found.changes, found.replaces) == expected
