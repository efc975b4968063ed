"""Upstream's rendered manifests: reading them, and refusing those of another version."""

import json
from pathlib import Path
from typing import Any

import pulumi

Manifest = dict[str, Any]


class ManifestsError(pulumi.RunError):
    """Upstream's manifests are not what this project changes; the message says where."""


def load(rendered: Path) -> list[Manifest]:
    """Return the objects of a file."""
    found: list[Manifest] = json.loads(rendered.read_text())
    return found


def one(rendered: Path, kind: str, name: str) -> Manifest:
    """Return one object of a file.

    Raises:
        ManifestsError: the file lacks it.
    """
    for manifest in load(rendered):
        if manifest["kind"] == kind and manifest["metadata"]["name"] == name:
            return manifest
    raise ManifestsError(f"{rendered.name} has no {kind} {name}: it is for another version")
