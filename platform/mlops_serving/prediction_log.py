"""The record of predictions: Parquet in S3, joined later with the outcomes.

A prediction never waits for its record and never fails with it: requests enter a bounded queue, one
thread writes it, and what does not fit is counted and dropped.
"""

import atexit
import io
import itertools
import logging
import os
import queue
import threading
import time
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0


@dataclass
class Counts:
    """What became of the requests so far.

    Attributes:
        written: requests in S3.
        sampled_out: requests that the rate left out.
        dropped: requests lost, because the queue was full or the server ended before S3 answered.
        failures: writes that S3 refused; their requests were kept and tried again.
    """

    written: int = 0
    sampled_out: int = 0
    dropped: int = 0
    failures: int = 0


@dataclass(frozen=True, kw_only=True)
class _Request:
    request_id: str
    model_version: str
    time: datetime
    rows: Sequence[Mapping[str, Any]]
    predictions: Sequence[float]


@dataclass(kw_only=True)
class PredictionLog:
    """Writes a sample of the requests to a bucket, in the background.

    S3's endpoint and keys come from the usual variables AWS_ENDPOINT_URL, AWS_DEFAULT_REGION,
    AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.

    Attributes:
        bucket: where the files go; empty for no log at all.
        prefix: begin of their keys, such as `predictions/flight-delay`; the day follows.
        sample_rate: share of the requests to keep, 0 to 1; a request id is always kept or never.
        flush_requests: requests in one file at most.
        flush_seconds: the longest a request waits for its file.
        capacity: requests in memory at most.
        close_seconds: the longest that `close` waits.
        counts: what became of the requests.
    """

    bucket: str
    prefix: str
    sample_rate: float = 1.0
    flush_requests: int = 1000
    flush_seconds: float = 10.0
    capacity: int = 10_000
    close_seconds: float = 5.0
    counts: Counts = field(default_factory=Counts, init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.sample_rate <= 1:
            raise ValueError(f"sample_rate is {self.sample_rate}; write a number from 0 to 1")
        self._queue: queue.Queue[_Request] = queue.Queue(self.capacity)
        self._closing = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._client: Any = None

    @classmethod
    def from_environment(cls, model: str) -> Self:
        """Return the log that PREDICTION_LOG_BUCKET and PREDICTION_LOG_RATE describe.

        A rate that is no share is logged and read as 0: a server must start without its log.

        Args:
            model: the model's name, which the keys hold.
        """
        text = os.environ.get("PREDICTION_LOG_RATE", "1")
        bucket, prefix = os.environ.get("PREDICTION_LOG_BUCKET", ""), f"predictions/{model}"
        try:
            return cls(bucket=bucket, prefix=prefix, sample_rate=float(text))
        except ValueError:
            _LOG.exception("PREDICTION_LOG_RATE is %r: no prediction is logged", text)
            return cls(bucket="", prefix=prefix)

    def record(
        self,
        request_id: str,
        model_version: str,
        rows: Sequence[Mapping[Any, Any]],
        predictions: Sequence[float],
    ) -> None:
        """Take note of a request; return at once and never raise.

        Args:
            request_id: what joins it with the outcome.
            model_version: registered version that answered.
            rows: fields of each row.
            predictions: probability of each row.
        """
        try:
            if not self.bucket or not self._sampled(request_id):
                self.counts.sampled_out += 1
                return
            # Started by the first request: a server forks its workers, and threads do not follow.
            if self._thread is None:
                self._start()
            self._queue.put_nowait(
                _Request(
                    request_id=request_id,
                    model_version=model_version,
                    time=datetime.now(UTC),
                    rows=rows,
                    predictions=predictions,
                )
            )
        except queue.Full:
            self.counts.dropped += 1
        except Exception:
            self.counts.dropped += 1
            _LOG.exception("a prediction could not be logged")

    def close(self) -> None:
        """Write what is left, within `close_seconds`; what S3 does not take by then is dropped."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(self.close_seconds)

    def _sampled(self, request_id: str) -> bool:
        return zlib.crc32(request_id.encode()) < self.sample_rate * 2**32

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
                thread.start()
                atexit.register(self.close)
                self._thread = thread

    def _run(self) -> None:
        while not (self._closing.is_set() and self._queue.empty()):
            batch = self._batch()
            if batch:
                self._deliver(batch)

    def _batch(self) -> list[_Request]:
        """Return requests for one file: when there are enough, or the first has waited enough."""
        batch: list[_Request] = []
        end = time.monotonic() + self.flush_seconds
        while len(batch) < self.flush_requests:
            try:
                # Short, so that a server that ends does not wait for the whole time.
                batch.append(self._queue.get(timeout=0.2))
            except queue.Empty:
                if self._closing.is_set() or time.monotonic() >= end:
                    break
            else:
                if time.monotonic() >= end and not self._closing.is_set():
                    break
        return batch

    def _deliver(self, batch: list[_Request]) -> None:
        """Write a batch, again and again until S3 takes it or the server ends.

        The queue behind it fills meanwhile, which bounds the memory.
        """
        pause = _FIRST_PAUSE_SECONDS
        while True:
            last = self._closing.is_set()
            try:
                self._write(batch)
                self.counts.written += len(batch)
            except Exception as error:
                self.counts.failures += 1
                _LOG.warning("predictions could not be written to %s: %s", self.bucket, error)
            else:
                return
            if last:
                self.counts.dropped += len(batch)
                return
            self._closing.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _write(self, batch: list[_Request]) -> None:
        # Imported by the thread: a server answers before its log can write.
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet as pq  # noqa: PLC0415

        days = itertools.groupby(batch, key=lambda request: request.time.date())
        for day, requests in days:
            table = pa.Table.from_pylist(list(itertools.chain.from_iterable(map(_rows, requests))))
            content = io.BytesIO()
            pq.write_table(table, content, compression="zstd")
            name = f"{datetime.now(UTC):%H%M%S}-{uuid.uuid4().hex[:12]}.parquet"
            self._s3().put_object(
                Bucket=self.bucket,
                Key=f"{self.prefix}/{day.isoformat()}/{name}",
                Body=content.getvalue(),
            )

    def _s3(self) -> Any:
        if self._client is None:
            import boto3  # noqa: PLC0415
            from botocore.config import Config  # noqa: PLC0415

            # Its own loop tries again; a short wait lets a server end in time.
            config = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})
            self._client = boto3.client("s3", config=config)
        return self._client


def _rows(request: _Request) -> list[dict[str, Any]]:
    return [
        {
            "request_id": request.request_id,
            "row": number,
            "model_version": request.model_version,
            "time": request.time,
            **row,
            "probability": float(probability),
        }
        for number, (row, probability) in enumerate(
            zip(request.rows, request.predictions, strict=True)
        )
    ]
