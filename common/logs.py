"""Finds errors in the logs of Python processes."""

import re
from pathlib import Path

_ERROR = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception)(?:: .*)?")


def last_error(log: Path) -> str | None:
    """The error line of the last traceback in a log, such as ``ValueError: …``, or ``None``."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in lines if _ERROR.fullmatch(line)]
    return errors[-1] if errors else None
