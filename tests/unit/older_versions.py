"""What earlier versions of the project made, as their programs registered it.

`python -m tests.unit.older_versions 0.1.0`, run in a checkout of that version with its toolchain's
manifests, writes tests/data/0.1.0/resources.json.
"""

import json
import sys
from typing import Any

from mlops_stack.review.data_at_risk import is_stateful
from tests.unit import recording
from tests.unit.conftest import CHECKOUT

DATA = CHECKOUT / "tests/data"

CONFIGURATIONS: dict[str, dict[str, str]] = {
    "embedded": {},
    "lasting": {"ephemeral": "false", "layers": "infra"},
    "existing": {
        "clusterProvider": "existing",
        "kubeconfig": str(DATA / "kubeconfig"),
        "imageRegistry": "registry.example.org/mlops",
        "layers": "infra",
    },
    "eks": {
        "clusterProvider": "eks",
        "layers": "infra",
        "awsPreset": "production",
        "awsDatabase": "true",
        "owner": "owner@example.org",
    },
}


def holding_data(configuration: str) -> dict[str, dict[str, Any]]:
    """Return the inputs of the resources that hold data, by URN without stack and project."""
    recorder = recording.program(CONFIGURATIONS[configuration])
    by_place = {urn.rpartition("$")[2]: urn.split("::", 2)[2] for urn in recorder.urns}
    return {
        by_place[f"{resource.typ}::{resource.name}"]: _compared(resource.typ, resource.inputs)
        for resource in recorder.resources
        if is_stateful(resource.typ)
    }


def _compared(kind: str, inputs: dict[str, Any]) -> dict[str, Any]:
    if kind.endswith(":CustomResourceDefinition"):
        # Its schema may change at will, and is large.
        return {key: inputs[key] for key in ("apiVersion", "kind", "metadata") if key in inputs}
    return {key: value for key, value in inputs.items() if key != "__provider"}


if __name__ == "__main__":
    (version,) = sys.argv[1:]
    made = {name: holding_data(name) for name in CONFIGURATIONS}
    file = DATA / version / "resources.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(made, indent=1, sort_keys=True, default=str) + "\n")
