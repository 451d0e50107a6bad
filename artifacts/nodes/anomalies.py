"""TFDV's anomalies in a split, as ExampleValidator writes them."""

import dataclasses
from pathlib import Path
from typing import Literal

from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import anomalies_pb2

from artifacts.names import ANOMALIES_FILE, split_folder

Severity = Literal["ERROR", "WARNING"]
NO_EXAMPLES = "no examples"


@dataclasses.dataclass(frozen=True)
class FoundAnomaly:
    """One violation of the curated schema.

    Attributes:
        split: Name of the split.
        path: Path of the column, usually just its name. Empty for the dataset.
        severity: ``ERROR``, which stops a run, or ``WARNING``.
        found: TFDV's description, in one line.
    """

    split: str
    path: tuple[str, ...]
    severity: Severity
    found: str

    @property
    def column(self) -> str:
        """Name of the column, or empty for the dataset."""
        return ".".join(self.path)


def read_anomalies(folder: Path, split: str) -> list[FoundAnomaly]:
    """Reads the anomalies of one split.

    Args:
        folder: Folder of the ``ExampleAnomalies`` artifact.
        split: Name of the split.

    Raises:
        OSError: The file cannot be read.
        ValueError: It does not hold anomalies.
    """
    path = folder / split_folder(split) / ANOMALIES_FILE
    try:
        return parse_anomalies(split, path.read_bytes())
    except DecodeError as error:
        raise ValueError(f"{path}: found no anomalies; expected those of ExampleValidator") from error


def parse_anomalies(split: str, content: bytes) -> list[FoundAnomaly]:
    """Parses the content of :data:`artifacts.names.ANOMALIES_FILE`: the dataset first, then columns by name.

    Raises:
        google.protobuf.message.DecodeError: It does not hold anomalies.
    """
    message = anomalies_pb2.Anomalies.FromString(content)
    found = []
    if message.HasField("dataset_anomaly_info"):
        found.append(_anomaly(split, (), message.dataset_anomaly_info))
    if message.data_missing:
        found.append(FoundAnomaly(split, (), "ERROR", NO_EXAMPLES))
    for name, info in sorted(message.anomaly_info.items()):
        found.append(_anomaly(split, tuple(info.path.step) or (name,), info))
    return found


def _anomaly(split: str, path: tuple[str, ...], info: anomalies_pb2.AnomalyInfo) -> FoundAnomaly:
    reasons = [f"{reason.short_description}: {reason.description}" for reason in info.reason] or [info.description]
    # TFDV may omit the severity, and the gate only lets warnings through.
    severity: Severity = "WARNING" if info.severity == anomalies_pb2.AnomalyInfo.WARNING else "ERROR"
    return FoundAnomaly(split, path, severity, " ".join(" ".join(reasons).split()))
