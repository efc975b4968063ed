"""The rows of each worker."""

import numpy as np
import pytest

from flight_training.errors import TrainingError
from flight_training.share import share


@pytest.mark.parametrize(("rows", "workers"), [(10, 1), (10, 2), (11, 2), (7, 3), (3, 3)])
def test_every_row_has_a_worker_and_all_have_equally_many(rows: int, workers: int) -> None:
    shares = [share(rows, worker=number, workers=workers) for number in range(workers)]
    assert {len(each) for each in shares} == {-(-rows // workers)}
    given = np.concatenate(shares)
    assert set(given) == set(range(rows))
    # None twice, but for those that fill up the last round.
    assert len(given) - rows == -rows % workers


def test_fewer_rows_than_workers_are_refused() -> None:
    with pytest.raises(TrainingError, match="1 rows cannot be shared by 2 workers"):
        share(1, worker=0, workers=2)
