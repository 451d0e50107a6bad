"""Logs: finds errors in those of Python processes, and escapes what clients send before it is logged."""

import logging
import re
from pathlib import Path

from common.terminal import printable

_ERROR = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception)(?:: .*)?")


def last_error(log: Path) -> str | None:
    """The error line of the last traceback in a log, such as ``ValueError: …``, or ``None``."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in lines if _ERROR.fullmatch(line)]
    return errors[-1] if errors else None


def show_control_characters() -> None:
    """Escapes characters that a terminal would obey in everything that this process logs from now on."""
    logging.basicConfig()  # as absl does for the first message
    for handler in logging.root.handlers:
        handler.setFormatter(_PrintableFormatter(handler.formatter or logging.Formatter()))


class _PrintableFormatter(logging.Formatter):
    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        return printable(self._inner.format(record))
