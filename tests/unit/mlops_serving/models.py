"""Models as MLflow logs them."""

from pathlib import Path
from typing import Any

import cloudpickle
import yaml


def write(folder: Path, fitted: Any, *, signature: Any = None) -> None:
    """Write a model of scikit-learn."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.pkl").write_bytes(cloudpickle.dumps(fitted))
    flavour = {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}
    description: dict[str, Any] = {"flavors": {"sklearn": flavour}}
    if signature is not None:
        description["signature"] = signature
    (folder / "MLmodel").write_text(yaml.safe_dump(description))
