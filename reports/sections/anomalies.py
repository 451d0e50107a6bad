"""Where the data of a run does not meet the schema, from TFDV's findings."""

import dataclasses
import json

from tensorflow_metadata.proto.v0 import anomalies_pb2

from reports.source import Source

ANOMALIES_FILE = "SchemaDiff.pb"


@dataclasses.dataclass(frozen=True)
class Anomaly:
    """One way in which a split does not meet the curated schema.

    Attributes:
        split: The split.
        feature: The column; empty for the table as a whole.
        severity: ``ERROR``, which stops a run, or ``WARNING``.
        found: What was found, in TFDV's words.
    """

    split: str
    feature: str
    severity: str
    found: str


@dataclasses.dataclass(frozen=True)
class Anomalies:
    """What ExampleValidator found.

    Attributes:
        splits: Those it looked at.
        found: Errors first.
    """

    splits: tuple[str, ...]
    found: tuple[Anomaly, ...]


def read_anomalies(source: Source) -> Anomalies:
    """The findings of a run.

    Raises:
        MissingError: ExampleValidator did not finish, or its files are gone.
    """
    folder = source.path("ExampleValidator", "anomalies")
    splits = json.loads(source.artifact("ExampleValidator", "anomalies").properties["split_names"])
    found = []
    for split in splits:
        path = folder / f"Split-{split}" / ANOMALIES_FILE
        found += _in_split(split, anomalies_pb2.Anomalies.FromString(path.read_bytes()))
    return Anomalies(tuple(splits), tuple(sorted(found, key=lambda each: (each.severity, each.feature, each.split))))


def _in_split(split: str, message: anomalies_pb2.Anomalies) -> list[Anomaly]:
    found = []
    if message.HasField("dataset_anomaly_info"):
        found.append(_anomaly(split, "", message.dataset_anomaly_info))
    if message.data_missing:
        found.append(Anomaly(split, "", "ERROR", "no examples"))
    for name, info in message.anomaly_info.items():
        found.append(_anomaly(split, ".".join(info.path.step) or name, info))
    return found


def _anomaly(split: str, feature: str, info: anomalies_pb2.AnomalyInfo) -> Anomaly:
    severity = anomalies_pb2.AnomalyInfo.Severity.Name(info.severity)
    # The gate lets nothing but warnings through.
    severity = severity if severity == "WARNING" else "ERROR"
    reasons = [f"{reason.short_description}: {reason.description}" for reason in info.reason] or [info.description]
    return Anomaly(split, feature, severity, " ".join(" ".join(reasons).split()))
