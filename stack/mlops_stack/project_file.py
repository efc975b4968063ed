"""`python -m mlops_stack.project_file [--check]`: the settings' keys in Pulumi.yaml."""

import argparse
import sys
from typing import Any, Final

import yaml
from pydantic.alias_generators import to_camel

from mlops_stack.settings import Settings
from mlops_toolchain import layout

_MARK: Final = "  # Written by `make settings` from stack/mlops_stack/settings.py.\n"
_TYPES: Final = {bool: "boolean", int: "integer"}


def declared() -> dict[str, dict[str, Any]]:
    """Return what Pulumi is told of each key: type, default and description."""
    return {
        to_camel(name): {
            "type": _TYPES.get(type(field.default), "string"),
            "default": field.default,
            "description": field.description,
        }
        for name, field in Settings.model_fields.items()
    }


def written(text: str) -> str:
    """Return a project's file with the keys of the settings.

    Args:
        text: the file as it is; what stands before the mark stays.

    Raises:
        ValueError: there is no mark in it.
    """
    before, mark, _ = text.partition(_MARK)
    if not mark:
        raise ValueError(f"Pulumi.yaml lacks the line {_MARK.strip()!r}, after which keys belong")
    keys = yaml.safe_dump(declared(), sort_keys=False, width=1000, allow_unicode=True)
    return before + mark + "".join(f"  {line}\n" for line in keys.splitlines())


def main() -> int:
    """Write or check the file; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="mlops_stack.project_file", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the file is not up to date")
    check = parser.parse_args().check
    file = layout.checkout() / "Pulumi.yaml"
    current = file.read_text()
    text = written(current)
    if text == current:
        return 0
    if check:
        print("✗ Pulumi.yaml is not what the settings say: run `make settings`")
        return 1
    file.write_text(text)
    print(f"✓ wrote {file.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
