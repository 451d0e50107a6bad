"""Rows of the table that are in no split, by reason. ExampleGen writes them next to the splits."""

import json
from collections.abc import Mapping
from pathlib import Path

from artifacts.files import read_object
from artifacts.names import LEFT_OUT_FILE

NO_LABEL = "no label"
NO_TIME = "no time"
NO_SPLIT = "no value in the split column"
_GAP = "gap before "


def gap_before(split: str) -> str:
    """The reason of rows in the gap before the first row of a split.

    >>> gap_before("eval")
    'gap before eval'
    """
    return _GAP + split


def left_out_json(rows: Mapping[str, int]) -> str:
    """The content of the file: the number of rows by reason."""
    return json.dumps(dict(sorted(rows.items())), indent=2) + "\n"


def read_left_out(folder: Path) -> dict[str, int]:
    """Reads the number of rows by reason. Empty if no row was left out.

    Args:
        folder: Folder of the ``Examples`` artifact.

    Raises:
        OSError: The file cannot be read.
        ValueError: It does not hold numbers of rows.
    """
    path = folder / LEFT_OUT_FILE
    if not path.exists():
        return {}
    return {reason: int(rows) for reason, rows in read_object(path).items()}
