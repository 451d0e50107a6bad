"""TFDV's statistics of the splits, as StatisticsGen writes them."""

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import statistics_pb2

from artifacts.files import UNREADABLE
from artifacts.names import SPLIT_NAMES, STATISTICS_FILE, split_folder


def split_names(properties: Mapping[str, Any]) -> list[str]:
    """Returns the splits of an artifact, by its properties."""
    return list(json.loads(properties.get(SPLIT_NAMES) or "[]"))


def read_statistics(folder: Path, split: str) -> statistics_pb2.DatasetFeatureStatistics:
    """Reads the statistics of one split.

    Args:
        folder: Folder of the ``ExampleStatistics`` artifact.
        split: Name of the split.

    Raises:
        OSError: The file cannot be read.
        ValueError: It does not hold statistics.
    """
    path = folder / split_folder(split) / STATISTICS_FILE
    try:
        datasets = statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes()).datasets
        return datasets[0]
    except (DecodeError, IndexError) as error:
        raise ValueError(f"{path}: found no statistics; expected those of StatisticsGen") from error


def read_rows(folder: Path, splits: Iterable[str]) -> dict[str, int]:
    """Reads the number of rows by split.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file does not hold statistics.
    """
    return {split: int(read_statistics(folder, split).num_examples) for split in splits}


def read_readable_rows(folder: Path, splits: Iterable[str]) -> dict[str, int]:
    """Reads the number of rows by split, without the splits whose file is missing or damaged."""
    rows: dict[str, int] = {}
    for split in splits:
        with contextlib.suppress(*UNREADABLE):
            rows |= read_rows(folder, [split])
    return rows
