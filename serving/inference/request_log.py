"""Logs a sample of requests and responses to files, for monitoring.

The ``logging_config`` of a model turns this on: ``log_collector_config.type`` is ``tfrecord`` or ``jsonl``,
``log_collector_config.filename_prefix`` is the path, and ``sampling_config.sampling_rate`` is the fraction of requests
to log. ``tensorflow_model_server`` itself comes without any log collector.
"""

import contextlib
import itertools
import queue
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeAlias

import tensorflow as tf
from absl import logging
from google.protobuf import json_format
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    predict_pb2,
    prediction_log_pb2,
    regression_pb2,
)
from tensorflow_serving.config import logging_config_pb2

from serving.current_call import CURRENT
from serving.errors import invalid_argument

PredictionLog: TypeAlias = prediction_log_pb2.PredictionLog
TYPES = ("tfrecord", "jsonl")
MAX_QUEUED, MAX_QUEUED_BYTES = 10_000, 64 << 20  # records beyond either limit are dropped
MAX_FILE_BYTES = 64 << 20
FLUSH_SECONDS = 0.5
CLOSE_SECONDS = 10.0


def predict_record(request: predict_pb2.PredictRequest, response: predict_pb2.PredictResponse) -> PredictionLog:
    """Returns the log record of a Predict request."""
    return PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request, response=response))


def classify_record(
    request: classification_pb2.ClassificationRequest, response: classification_pb2.ClassificationResponse
) -> PredictionLog:
    """Returns the log record of a Classify request."""
    return PredictionLog(classify_log=prediction_log_pb2.ClassifyLog(request=request, response=response))


def regress_record(
    request: regression_pb2.RegressionRequest, response: regression_pb2.RegressionResponse
) -> PredictionLog:
    """Returns the log record of a Regress request."""
    return PredictionLog(regress_log=prediction_log_pb2.RegressLog(request=request, response=response))


def multi_inference_record(
    request: inference_pb2.MultiInferenceRequest, response: inference_pb2.MultiInferenceResponse
) -> PredictionLog:
    """Returns the log record of a MultiInference request."""
    return PredictionLog(multi_inference_log=prediction_log_pb2.MultiInferenceLog(request=request, response=response))


class RequestLog:
    """The log of one model. A thread writes the files, so that requests never wait for the disk.

    Records are dropped if the queue is full.
    """

    def __init__(
        self,
        model: str,
        config: logging_config_pb2.LoggingConfig,
        count: Callable[[str], None],
        max_file_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        """Opens the log.

        Args:
            model: Name of the model.
            config: Its ``logging_config``.
            count: Called with ``written`` or ``lost`` for each sampled request.
            max_file_bytes: Size at which a new file is started.

        Raises:
            ServingError: The configuration is invalid, or the folder cannot be created.
        """
        collector = config.log_collector_config
        if collector.type not in TYPES:
            raise invalid_argument(
                f"model {model}: found log_collector_config.type '{collector.type}'; expected one of {TYPES}"
            )
        if not collector.filename_prefix.startswith("/"):
            raise invalid_argument(
                f"model {model}: found filename_prefix '{collector.filename_prefix}'; expected an absolute path"
            )
        rate = config.sampling_config.sampling_rate
        if not 0 <= rate <= 1:
            raise invalid_argument(f"model {model}: found sampling_rate {rate:g}; expected 0 to 1")
        self._prefix = Path(collector.filename_prefix)
        try:
            self._prefix.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise invalid_argument(f"model {model}: {error}") from error
        self._type = collector.type
        self._rate = rate
        self._config = config
        self._count = count
        self._max_file_bytes = max_file_bytes
        self._queue: queue.Queue[tuple[PredictionLog, int] | None] = queue.Queue(MAX_QUEUED)
        self._queued_bytes = 0
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._name = f"log {model}"
        self._thread: threading.Thread | None = None  # started by the first record

    def offer(self, make: Callable[[], PredictionLog]) -> None:
        """Logs a request with the probability of the sampling rate. An error never fails the request.

        Args:
            make: Creates the record. Called only if the request is sampled.
        """
        if random.random() >= self._rate:  # noqa: S311 - not used for security
            return
        try:
            record = make()
            record.log_metadata.sampling_config.CopyFrom(self._config.sampling_config)
            call = CURRENT.get()
            if call:  # the only text field of the message that fits
                record.log_metadata.request_origin = " ".join(f"{name}={value}" for name, value in call.headers)
            self._enqueue(record, record.ByteSize())
        except queue.Full:
            self._count("lost")
        except Exception:
            logging.exception("A request cannot be logged.")
            self._count("lost")

    def _enqueue(self, record: PredictionLog, size: int) -> None:
        with self._lock:
            if self._queued_bytes + size > MAX_QUEUED_BYTES:
                raise queue.Full
            if self._thread is None:  # first, because a record in the queue without a thread would never be written
                thread = threading.Thread(target=self._write_all, name=self._name, daemon=True)
                thread.start()
                self._thread = thread
            self._queue.put_nowait((record, size))
            self._queued_bytes += size

    def close(self) -> None:
        """Writes the queued records and stops. Records offered later, by running requests, go to a new file."""
        with self._lock:
            self._closing.set()
            thread = self._thread
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)  # wakes the thread
        if thread:
            thread.join(CLOSE_SECONDS)

    def _is_done(self) -> bool:
        with self._lock:
            done = self._closing.is_set() and self._queue.empty()
            if done:
                self._thread = None
            return done

    def _write_all(self) -> None:
        writer: _File | None = None
        while not self._is_done():
            try:
                writer = self._write_next(writer)
            except Exception:  # such as a full disk, which may be free again for the next record
                logging.exception("A request cannot be logged.")
                self._count("lost")
                writer = None
        if writer:
            writer.close()

    def _write_next(self, writer: "_File | None") -> "_File | None":
        try:
            entry = self._queue.get(timeout=FLUSH_SECONDS)
        except queue.Empty:
            if writer:
                writer.flush()
            return writer
        if entry is None:
            return writer
        record, size = entry
        with self._lock:
            self._queued_bytes -= size
        if writer is None or writer.size >= self._max_file_bytes:
            if writer:
                writer.close()
            writer = _File(self._new_path(), self._type)
        writer.write(record)
        self._count("written")
        return writer

    def _new_path(self) -> Path:
        """Creates an empty file with an unused name, since two logs may share a prefix."""
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        for number in itertools.count(1):
            path = self._prefix.with_name(f"{self._prefix.name}-{stamp}-{number:04d}.{self._type}")
            try:
                path.touch(exist_ok=False)
            except FileExistsError:
                continue
            return path
        raise AssertionError


class _File:
    """A file of records."""

    def __init__(self, path: Path, kind: str) -> None:
        self.size = 0
        self._records = tf.io.TFRecordWriter(str(path)) if kind == "tfrecord" else None
        self._lines: IO[Any] | None = None if self._records else path.open("w", encoding="utf-8")

    def write(self, record: PredictionLog) -> None:
        if self._records:
            content = record.SerializeToString()
            self._records.write(content)
            self.size += len(content)
        elif self._lines:
            text = json_format.MessageToJson(record, preserving_proto_field_name=True, indent=None)
            self.size += self._lines.write(text + "\n")

    def flush(self) -> None:
        (self._records or self._lines).flush()  # type: ignore[union-attr]

    def close(self) -> None:
        (self._records or self._lines).close()  # type: ignore[union-attr]
