"""Anomalies: where the data of a run does not match the curated schema."""

import dataclasses

from artifacts.nodes.anomalies import FoundAnomaly, read_anomalies
from artifacts.nodes.statistics import split_names
from reports.section import Section
from reports.source import Source


@dataclasses.dataclass(frozen=True)
class Anomalies:
    """The anomalies that ExampleValidator found.

    Attributes:
        splits: The splits that it checked.
        found: Anomalies, errors first.
    """

    splits: tuple[str, ...]
    found: tuple[FoundAnomaly, ...]


def read(source: Source) -> Anomalies:
    """Reads the anomalies of a run.

    Raises:
        MissingError: ExampleValidator did not finish, or its folder no longer exists.
    """
    folder = source.path("ExampleValidator", "anomalies")
    splits = split_names(source.artifact("ExampleValidator", "anomalies").properties)
    found = [each for split in splits for each in read_anomalies(folder, split)]
    return Anomalies(tuple(splits), tuple(sorted(found, key=lambda each: (each.severity, each.column, each.split))))


SECTION = Section("anomalies", "Anomalies", read, absent="The data was not checked against the schema")
