"""Sizes differ in data alone: the program asks no preset's name, and makes the same things."""

from typing import Any

import pytest

from mlops_infra.aws.presets import PRESETS
from tests.unit import recording
from tests.unit.conftest import CHECKOUT

NAMES = tuple(PRESETS)


def _stack(preset: str) -> recording.Recorder:
    config = {
        "clusterProvider": "eks",
        "layers": "infra",
        "awsPreset": preset,
        "awsDatabase": "true",
        "owner": "owner@example.org",
    }
    return recording.program(config)


@pytest.fixture(scope="module")
def stacks() -> dict[str, recording.Recorder]:
    return {preset: _stack(preset) for preset in NAMES}


def test_only_the_way_out_of_the_network_has_other_resources(
    stacks: dict[str, recording.Recorder],
) -> None:
    made = {
        preset: {(r.typ, r.name) for r in stack.resources if not r.name.startswith("network-")}
        for preset, stack in stacks.items()
    }
    assert made["trial"] == made["team"] == made["production"]
    assert len(made["trial"]) > 80
    network = {
        preset: {(r.typ, r.name) for r in stack.resources if r.name.startswith("network-")}
        for preset, stack in stacks.items()
    }
    by_egress: dict[str, set[Any]] = {}
    for preset, found in network.items():
        assert by_egress.setdefault(PRESETS[preset].egress, found) == found
    assert len(by_egress) == 2


def test_no_code_asks_for_a_presets_name() -> None:
    where = [*(CHECKOUT / "infra").rglob("*.py"), CHECKOUT / "__main__.py"]
    asking = [
        str(file)
        for file in where
        if file.name != "presets.py" and any(f'"{preset}"' in file.read_text() for preset in NAMES)
    ]
    assert asking == []
