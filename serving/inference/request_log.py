"""Logs a sample of the requests and their answers, for monitoring to read later.

A model's ``logging_config`` asks for it: ``log_collector_config.type`` is ``tfrecord`` or ``jsonl``,
``filename_prefix`` says where, ``sampling_config.sampling_rate`` how many. The stock server has no collector at all.
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

from serving.errors import invalid

PredictionLog: TypeAlias = prediction_log_pb2.PredictionLog
TYPES = ("tfrecord", "jsonl")
MOST_WAITING, MOST_WAITING_BYTES = 10_000, 64 << 20  # of records; beyond, they are lost
MOST_BYTES = 64 << 20
FLUSH_SECONDS = 0.5
CLOSE_SECONDS = 10.0


def predict_record(request: predict_pb2.PredictRequest, response: predict_pb2.PredictResponse) -> PredictionLog:
    """What is logged of Predict."""
    return PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request, response=response))


def classify_record(
    request: classification_pb2.ClassificationRequest, response: classification_pb2.ClassificationResponse
) -> PredictionLog:
    """What is logged of Classify."""
    return PredictionLog(classify_log=prediction_log_pb2.ClassifyLog(request=request, response=response))


def regress_record(
    request: regression_pb2.RegressionRequest, response: regression_pb2.RegressionResponse
) -> PredictionLog:
    """What is logged of Regress."""
    return PredictionLog(regress_log=prediction_log_pb2.RegressLog(request=request, response=response))


def multi_inference_record(
    request: inference_pb2.MultiInferenceRequest, response: inference_pb2.MultiInferenceResponse
) -> PredictionLog:
    """What is logged of MultiInference."""
    return PredictionLog(multi_inference_log=prediction_log_pb2.MultiInferenceLog(request=request, response=response))


class RequestLog:
    """Writes in a thread of its own, so that no request waits for a disk; what finds the queue full is lost."""

    def __init__(
        self,
        model: str,
        config: logging_config_pb2.LoggingConfig,
        count: Callable[[str], None],
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Opens the log.

        Args:
            model: The model.
            config: Its ``logging_config``.
            count: Told ``written`` or ``lost`` of each request.
            most_bytes: After which a new file is begun.

        Raises:
            ServingError: The configuration makes no sense, or the folder cannot be written to.
        """
        collector = config.log_collector_config
        if collector.type not in TYPES:
            raise invalid(f"model {model}: found log_collector_config.type '{collector.type}'; expected one of {TYPES}")
        if not collector.filename_prefix.startswith("/"):
            raise invalid(
                f"model {model}: found filename_prefix '{collector.filename_prefix}'; expected an absolute path"
            )
        rate = config.sampling_config.sampling_rate
        if not 0 <= rate <= 1:
            raise invalid(f"model {model}: found sampling_rate {rate:g}; expected 0 to 1")
        self._prefix = Path(collector.filename_prefix)
        try:
            self._prefix.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise invalid(f"model {model}: {error}") from error
        self._type = collector.type
        self._rate = rate
        self._config = config
        self._count = count
        self._most_bytes = most_bytes
        self._waiting: queue.Queue[tuple[PredictionLog, int] | None] = queue.Queue(MOST_WAITING)
        self._waiting_bytes = 0
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._name = f"log {model}"
        self._thread: threading.Thread | None = None  # none while there is nothing to write

    def offer(self, make: Callable[[], PredictionLog]) -> None:
        """Takes a request with the probability of the sampling rate; only then is the record made.

        Whatever goes wrong, the request is answered all the same.
        """
        if random.random() >= self._rate:  # noqa: S311 - a sample, no secret
            return
        try:
            record = make()
            record.log_metadata.sampling_config.CopyFrom(self._config.sampling_config)
            self._take(record, record.ByteSize())
        except queue.Full:
            self._count("lost")
        except Exception:
            logging.exception("A request cannot be logged.")
            self._count("lost")

    def _take(self, record: PredictionLog, size: int) -> None:
        with self._lock:
            if self._waiting_bytes + size > MOST_WAITING_BYTES:
                raise queue.Full
            if self._thread is None:  # before the record waits: without a thread nobody would come for it
                thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                thread.start()
                self._thread = thread
            self._waiting.put_nowait((record, size))
            self._waiting_bytes += size

    def close(self) -> None:
        """Writes what waits, and ends; what a request under way still offers goes to a file of its own."""
        with self._lock:
            self._ending.set()
            thread = self._thread
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)  # so that nobody waits for the next record
        if thread:
            thread.join(CLOSE_SECONDS)

    def _is_done(self) -> bool:
        with self._lock:
            done = self._ending.is_set() and self._waiting.empty()
            if done:
                self._thread = None
            return done

    def _work(self) -> None:
        writer: _File | None = None
        while not self._is_done():
            try:
                writer = self._write_next(writer)
            except Exception:  # a disk that is full today may not be tomorrow
                logging.exception("A request cannot be logged.")
                self._count("lost")
                writer = None
        if writer:
            writer.close()

    def _write_next(self, writer: "_File | None") -> "_File | None":
        try:
            taken = self._waiting.get(timeout=FLUSH_SECONDS)
        except queue.Empty:
            if writer:
                writer.flush()
            return writer
        if taken is None:
            return writer
        record, size = taken
        with self._lock:
            self._waiting_bytes -= size
        if writer is None or writer.size >= self._most_bytes:
            if writer:
                writer.close()
            writer = _File(self._path(), self._type)
        writer.write(record)
        self._count("written")
        return writer

    def _path(self) -> Path:
        """A name that is not there yet: two logs may share a prefix, and a second."""
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
