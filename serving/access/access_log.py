"""The access log: a JSON line for each call."""

import datetime
import json
import logging
import queue
import sys
import threading
import time
from collections.abc import Mapping
from logging.handlers import WatchedFileHandler
from typing import Any

from absl import logging as absl_logging

from serving.current_call import CurrentCall
from serving.flags import OptionError

STANDARD_OUTPUT = "-"
MAX_QUEUED = 10_000  # lines. Those beyond that are lost.
MAX_TEXT = 1000  # characters of a value that the client chose
CLOSE_SECONDS = 5.0
WARNING_SECONDS = 60.0


class AccessLog:
    """Writes the lines in a thread, so that no call waits for the disk.

    A file that is moved away, as ``logrotate`` does, is created again. Lines that cannot be written are lost, and their
    number is written once that is possible again.
    """

    def __init__(self, target: str) -> None:
        """Opens the log.

        Args:
            target: A file to append to, or ``-`` for standard output.

        Raises:
            OptionError: The file cannot be opened.
        """
        self._lost = 0
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue(MAX_QUEUED)
        try:
            self._handler = _StandardOutput(self) if target == STANDARD_OUTPUT else _File(self, target)
        except OSError as error:
            text = f"--access_log_file: {target}: {error.strerror}; expected a file that can be written, or -"
            raise OptionError(text) from error
        self._warned = -WARNING_SECONDS
        self._thread = threading.Thread(target=self._write_all, name="access log", daemon=True)
        self._thread.start()

    def add(self, call: CurrentCall, fields: Mapping[str, Any]) -> None:
        """Adds a line for a call that has ended.

        Args:
            call: The call.
            fields: What is specific to the protocol. Values that are empty or ``None`` are omitted.
        """
        entry = {
            "time": call.arrival,
            "request_id": call.request_id,
            "traceparent": call.traceparent,
            **fields,
            "model": call.model,
            "version": call.version,
            "signatures": list(call.signatures),
            "seconds": round(time.perf_counter() - call.start, 6),
        }
        try:
            self._queue.put_nowait(entry)
        except queue.Full:
            self._lost += 1

    def close(self) -> None:
        """Writes the lines that are left."""
        try:
            self._queue.put(None, timeout=CLOSE_SECONDS)
        except queue.Full:  # the disk hangs
            return
        self._thread.join(CLOSE_SECONDS)

    def fail(self, error: BaseException | None) -> None:
        """Counts a line that could not be written. The server's own log must not fill with the reasons."""
        self._lost += 1
        if time.monotonic() - self._warned >= WARNING_SECONDS:
            self._warned = time.monotonic()
            absl_logging.error("The access log cannot be written: %s", error)

    def _write_all(self) -> None:
        while (entry := self._queue.get()) is not None:
            lost = self._lost
            self._write(entry)
            if lost and self._lost == lost:  # the line was written
                self._lost = 0
                self._write({"time": time.time(), "lost": lost})
            self._queue.task_done()
        self._handler.close()

    def _write(self, entry: dict[str, Any]) -> None:
        moment = datetime.datetime.fromtimestamp(entry["time"], datetime.UTC)
        entry["time"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = json.dumps({name: _short(value) for name, value in entry.items() if value not in ("", None, 0, [])})
        self._handler.handle(logging.makeLogRecord({"msg": line, "levelno": logging.INFO}))


class _File(WatchedFileHandler):
    """A file."""

    def __init__(self, log: AccessLog, path: str) -> None:
        super().__init__(path, encoding="utf-8")
        self._log = log

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - logging's interface
        """Counts the line."""
        self._log.fail(sys.exception())


class _StandardOutput(logging.StreamHandler[Any]):
    """Standard output."""

    def __init__(self, log: AccessLog) -> None:
        super().__init__(sys.stdout)
        self._log = log

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - logging's interface
        """Counts the line."""
        self._log.fail(sys.exception())


def _short(value: Any) -> Any:
    return value[:MAX_TEXT] if isinstance(value, str) else value
