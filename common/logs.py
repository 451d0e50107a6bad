"""What logs of Python processes tell."""

import re
from pathlib import Path

_ERROR = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception)(?:: .*)?")


def last_error(log: Path) -> str | None:
    """The last line by which a trace in a log ends, such as ``ValueError: …``; ``None`` if there is no trace."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in lines if _ERROR.fullmatch(line)]
    return errors[-1] if errors else None
