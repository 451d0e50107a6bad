"""Numbers of rows by class and split. Transform writes them next to the transformed splits."""

import json
from collections.abc import Mapping
from pathlib import Path

from artifacts.files import read_object


def label_counts_file(split: str) -> str:
    """Returns the name of a split's file in the folder of the artifact.

    >>> label_counts_file("train")
    'label_counts.train.json'
    """
    return f"label_counts.{split}.json"


def label_counts_json(rows: Mapping[int, int]) -> str:
    """The content of a file: the number of rows by index of the class. -1 stands for labels that are not a class."""
    return json.dumps({str(index): count for index, count in sorted(rows.items())}, indent=2) + "\n"


def read_label_counts(folder: Path, split: str) -> dict[int, int]:
    """Reads the number of rows by index of the class.

    Args:
        folder: Folder of the transformed ``Examples`` artifact.
        split: Name of the split.

    Raises:
        OSError: The file cannot be read, or does not exist, as for a regression.
        ValueError: It does not hold numbers of rows.
    """
    found = read_object(folder / label_counts_file(split))
    return {int(index): int(count) for index, count in found.items()}
