"""The origin of a run: its settings, code, command and machine."""

import dataclasses

import yaml

from lineage.records import Origin
from reports.section import Section
from reports.source import MissingError, Source


@dataclasses.dataclass(frozen=True)
class Started:
    """The origin of a run.

    Attributes:
        origin: The origin, as the run recorded it.
        settings: All settings in effect, as YAML.
    """

    origin: Origin
    settings: str


def read(source: Source) -> Started:
    """Reads the origin of a run.

    Raises:
        MissingError: The run recorded none.
    """
    if source.run.origin is None:
        raise MissingError("this run was made by an earlier version of this project, which recorded no settings")
    settings = dict(source.run.origin.settings)
    return Started(source.run.origin, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=100))


SECTION = Section("settings", "Settings and code", read, absent="Not recorded")
