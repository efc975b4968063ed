"""`python -m flight_pipeline.compile [--check]`: the compiled file that the repository keeps."""

import argparse
import sys
import tempfile
from pathlib import Path

COMPILED = Path(__file__).parent / "pipeline.yaml"


def compiled() -> str:
    """Return the pipeline as YAML."""
    # Seconds, which whoever only reads the compiled file must not pay
    from kfp import compiler

    from flight_pipeline.pipeline import flight_delay

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "pipeline.yaml")
        compiler.Compiler().compile(flight_delay, str(target))
        return target.read_text()


def main() -> int:
    """Write or check the file; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="flight_pipeline.compile", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the file is not up to date")
    check = parser.parse_args().check
    text = compiled()
    current = COMPILED.exists() and COMPILED.read_text() == text
    if check and not current:
        print(f"✗ {COMPILED.name} is not what the pipeline's code says: run `make pipeline`")
        return 1
    if not current:
        COMPILED.write_text(text)
        print(f"✓ wrote {COMPILED}")
    elif not check:
        print(f"✓ {COMPILED} is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
