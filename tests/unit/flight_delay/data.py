"""The flights as the toolchain converts them, and a slice of them for quick tests."""

from pathlib import Path

import pandas as pd

from mlops_toolchain import layout
from mlops_toolchain.recipes import dataset

FLIGHTS = "flights/year=2013/month={:02d}.parquet"


def whole(folder: Path) -> Path:
    """Return the folder of all months: the toolchain's, or one converted now."""
    built = layout.dataset_dir()
    if (built / "weather.parquet").exists():
        return built
    dataset.convert(folder)
    return folder


def slice_of(source: Path, folder: Path, *, rows: int) -> Path:
    """Write every n-th flight of January and February, and all the weather."""
    (folder / FLIGHTS.format(1)).parent.mkdir(parents=True)
    for month in (1, 2):
        flights = pd.read_parquet(source / FLIGHTS.format(month))
        flights = flights.iloc[:: len(flights) // rows]
        flights.to_parquet(folder / FLIGHTS.format(month), index=False)
    pd.read_parquet(source / "weather.parquet").to_parquet(folder / "weather.parquet", index=False)
    return folder
