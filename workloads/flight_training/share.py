"""Which rows a worker trains on."""

import numpy as np

from flight_training.errors import TrainingError


def share(rows: int, *, worker: int, workers: int) -> np.ndarray:
    """Return the rows of one worker: each row has a worker, and all have equally many.

    Where the number cannot be divided, the first rows are given again: a worker with a step less
    than the others would let them wait for ever.

    Args:
        rows: number of rows.
        worker: number of the worker, from 0.
        workers: number of workers.

    Raises:
        TrainingError: there are fewer rows than workers.
    """
    if rows < workers:
        raise TrainingError(f"{rows} rows cannot be shared by {workers} workers; use more months")
    extended = -(-rows // workers) * workers
    return np.arange(worker, extended, workers) % rows
