"""Reads the flights and the weather, from a folder or from S3."""

import hashlib
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

import pandas as pd
import pyarrow.parquet as pq
from pyarrow import fs

# What was known before the flight left, the outcome, and the keys of the weather; nothing else is
# read, so nothing known later can leak into the features.
FLIGHT_COLUMNS = (
    "year",
    "month",
    "day",
    "sched_dep_time",
    "sched_arr_time",
    "carrier",
    "origin",
    "dest",
    "distance",
    "time_hour",
    "arr_delay",
)
WEATHER_COLUMNS = (
    "origin",
    "time_hour",
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
)


class DatasetError(Exception):
    """The data cannot be read; the message names the file and the remedy."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the Parquet files are.

    Attributes:
        uri: a folder, or `s3://bucket/prefix`; S3's endpoint and keys come from the usual
            variables AWS_ENDPOINT_URL, AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID and
            AWS_SECRET_ACCESS_KEY.
    """

    uri: str

    def read_flights(self, months: tuple[int, ...]) -> pd.DataFrame:
        """Return the flights of some months, one row each, columns `FLIGHT_COLUMNS`.

        Raises:
            DatasetError: a month is not there.
        """
        frames = [
            self._read(f"flights/year=2013/month={month:02d}.parquet", FLIGHT_COLUMNS)
            for month in months
        ]
        return pd.concat(frames, ignore_index=True)

    def read_weather(self) -> pd.DataFrame:
        """Return the weather by airport and hour, columns `WEATHER_COLUMNS`.

        Raises:
            DatasetError: it is not there.
        """
        # Its hours are UTC, so the one that the clocks repeat is not there twice.
        return self._read("weather.parquet", WEATHER_COLUMNS)

    def _read(self, path: str, columns: tuple[str, ...]) -> pd.DataFrame:
        try:
            filesystem, root = self.open()
            table = pq.read_table(
                f"{root}/{path}", columns=list(columns), filesystem=filesystem, partitioning=None
            )
        except (OSError, ValueError, KeyError) as error:
            raise DatasetError(
                f"{self.uri}/{path} cannot be read: {error}; check --data, and for S3 its endpoint "
                "and keys"
            ) from error
        frame: pd.DataFrame = table.to_pandas()
        return frame

    def open(self) -> tuple[fs.FileSystem, str]:
        """Return the file system, and the path in it."""
        if not self.uri.startswith("s3://"):
            return fs.LocalFileSystem(), self.uri.rstrip("/")
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        parts = urlsplit(endpoint)
        options = {"endpoint_override": parts.netloc, "scheme": parts.scheme} if endpoint else {}
        region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
        return (
            fs.S3FileSystem(region=region, connect_timeout=5, request_timeout=60, **options),
            self.uri.removeprefix("s3://").rstrip("/"),
        )


def digest(*frames: pd.DataFrame) -> str:
    """Return 16 hexadecimal digits that stand for the content of the frames."""
    total = hashlib.sha256()
    for frame in frames:
        total.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return total.hexdigest()[:16]
