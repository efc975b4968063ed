"""Last step, whatever happened: how the run ended, where others find it."""

import json
from typing import Any

from pyarrow import fs

from flight_delay import dataset


def record(outcome: dict[str, Any], *, folder: str, run_id: str) -> str:
    """Write a run's outcome as JSON; return its address.

    Args:
        outcome: state, error and names of the run.
        folder: folder or `s3://bucket/prefix`.
        run_id: the run, which names the file.

    Raises:
        DatasetError: the store cannot be written.
    """
    address = f"{folder.rstrip('/')}/{run_id}.json"
    try:
        filesystem, root = dataset.Source(uri=folder).open()
        if isinstance(filesystem, fs.LocalFileSystem):
            filesystem.create_dir(root)
        with filesystem.open_output_stream(f"{root}/{run_id}.json") as stream:
            stream.write(json.dumps(outcome, indent=2).encode())
    except (OSError, ValueError) as error:
        raise dataset.DatasetError(f"{address} cannot be written: {error}") from error
    return address
