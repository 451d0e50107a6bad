"""Reads what lies in artifacts' folders, as far as it is there, on a disk, and whole."""

import contextlib
import glob
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import statistics_pb2

from lineage.records import Artifact

# Files that nodes write; their names are those of models.job, the Tuner of TFX, and TFX's StatisticsGen.
HYPERPARAMETERS_FILE = "hyperparameters.json"
TRIALS_FILE = "tuner_results.json"
STATISTICS_FILE = "FeatureStats.pb"
FINGERPRINT = re.compile(r"num_files:(\d+),total_bytes:(\d+),xor_checksum:(\d+),sum_checksum:(\d+)")


def rows(statistics: Artifact) -> dict[str, int]:
    """Rows by split; none where the folder is gone."""
    found = {}
    for split in splits(statistics):
        path = Path(statistics.uri) / f"Split-{split}" / STATISTICS_FILE
        with contextlib.suppress(OSError, DecodeError, IndexError):
            datasets = statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes()).datasets
            found[split] = int(datasets[0].num_examples)
    return found


def splits(artifact: Artifact) -> list[str]:
    """Names of an artifact's splits."""
    return list(json.loads(artifact.properties.get("split_names") or "[]"))


def hyperparameters(model_run: Artifact) -> dict[str, Any]:
    """Those that the Trainer used; none where the folder is gone."""
    found = _json(Path(model_run.uri) / HYPERPARAMETERS_FILE)
    return found if isinstance(found, dict) else {}


def trials(tuner_results: Artifact) -> list[dict[str, Any]]:
    """The Tuner's trials, best first; none where the folder is gone."""
    found = _json(Path(tuner_results.uri) / TRIALS_FILE)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def data_files(properties: Mapping[str, Any]) -> list[str]:
    """Files that the patterns of an ExampleGen's settings find now."""
    config = json.loads(properties.get("input_config") or "{}")
    base = properties.get("input_base") or ""
    patterns = [split.get("pattern", "") for split in config.get("splits", ())] if base else []
    return sorted(path for pattern in patterns for path in glob.glob(os.path.join(base, pattern)))


def source(properties: Mapping[str, Any]) -> str:
    """Where an ExampleGen reads: a folder with patterns, or a query."""
    config = json.loads(properties.get("input_config") or "{}")
    patterns = [split.get("pattern", "") for split in config.get("splits", ())]
    base = properties.get("input_base") or ""
    return ", ".join(os.path.join(base, pattern) for pattern in patterns) or base


def are_as_they_were(files: list[str], fingerprint: str) -> bool | None:
    """Whether files have the number, size and times that TFX's fingerprint has; ``None`` if it is of another kind.

    TFX sums and xors the files' times in whole seconds: see ``tfx.utils.io_utils.generate_fingerprint``.
    """
    found = FINGERPRINT.findall(fingerprint)
    if len(found) != 1:
        return None
    xor = total = size = 0
    for path in files:
        status = os.stat(path)
        seconds = int(status.st_mtime_ns / 1_000_000_000)
        xor, total, size = xor ^ seconds, total + seconds, size + status.st_size
    return tuple(map(int, found[0])) == (len(files), size, xor, total)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
