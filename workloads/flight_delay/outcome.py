"""Last step, whatever happened: how the run ended, where others find it."""

import json
from typing import Any

import requests
from pyarrow import fs

from flight_delay import dataset

_TIMEOUT_SECONDS = 30
_FAILED = frozenset({"FAILED", "ERROR", "CANCELED"})


def outcome(run: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a run's steps, and those that failed.

    Args:
        run: the answer of Kubeflow's API. The status that Kubeflow passes to an exit handler is of
            no use for this: it is taken before the steps' end is noted, and reads RUNNING.
    """
    tasks = (run.get("run_details") or {}).get("task_details") or []
    failed = sorted(
        {
            str(task["display_name"])
            for task in tasks
            # A step's tries are tasks too; one that failed may have been followed by a better one.
            if task.get("state") in _FAILED
            and not task.get("display_name", "executor").startswith("executor")
        }
    )
    return {
        "run_id": run["run_id"],
        "name": run["display_name"],
        "state": "FAILED" if failed else "SUCCEEDED",
        "failed": failed,
        "parameters": (run.get("runtime_config") or {}).get("parameters", {}),
        "started": run.get("created_at"),
    }


def record(*, run_id: str, api_url: str, folder: str) -> str:
    """Write a run's outcome as JSON; return its address.

    Args:
        run_id: the run, which names the file.
        api_url: address of Kubeflow's API.
        folder: folder or `s3://bucket/prefix`.

    Raises:
        DatasetError: the store cannot be written.
        HTTPError: the API does not know the run.
    """
    answer = requests.get(f"{api_url}/apis/v2beta1/runs/{run_id}", timeout=_TIMEOUT_SECONDS)
    answer.raise_for_status()
    return write(outcome(answer.json()), folder=folder, run_id=run_id)


def write(found: dict[str, Any], *, folder: str, run_id: str) -> str:
    """Write the JSON file of a run; return its address.

    Raises:
        DatasetError: the store cannot be written.
    """
    address = f"{folder.rstrip('/')}/{run_id}.json"
    try:
        filesystem, root = dataset.Source(uri=folder).open()
        if isinstance(filesystem, fs.LocalFileSystem):
            filesystem.create_dir(root)
        with filesystem.open_output_stream(f"{root}/{run_id}.json") as stream:
            stream.write(json.dumps(found, indent=2).encode())
    except (OSError, ValueError) as error:
        raise dataset.DatasetError(f"{address} cannot be written: {error}") from error
    return address
