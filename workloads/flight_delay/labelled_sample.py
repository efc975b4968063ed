"""Real flights with their outcome, as requests for a model server."""

import math
from typing import Final

from mlops_rollout.sample import Sample

# Of what a version is tested with before it serves.
MONTH: Final = 5
FLIGHTS: Final = 400


def read(source: str, *, month: int = MONTH, flights: int = FLIGHTS) -> Sample:
    """Return flights of a month of 2013 that arrived, the same ones each time.

    Args:
        source: folder of the Parquet files, or `s3://bucket/prefix`.
        month: 1 to 12.
        flights: number of flights.

    Returns:
        Features of each flight, and whether it arrived late.

    Raises:
        DatasetError: they are not there.
    """
    # Seconds, which a preview that imports the module must not cost
    from flight_delay import dataset, features  # noqa: PLC0415

    files = dataset.Source(uri=source)
    arrived = files.read_flights((month,)).dropna(subset=["arr_delay"])
    chosen = arrived.sample(flights, random_state=month)
    frame = features.build(chosen, files.read_weather())
    rows = [
        {str(k): None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}
        for row in frame.to_dict("records")
    ]
    return Sample(rows=rows, labels=[bool(late) for late in features.late(chosen)])
