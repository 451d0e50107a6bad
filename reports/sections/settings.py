"""What a run was started from: its settings, its code and its machine."""

import dataclasses

import yaml

from lineage.records import Origin
from reports.source import MissingError, Source


@dataclasses.dataclass(frozen=True)
class Started:
    """What a run was started from.

    Attributes:
        origin: As the run recorded it.
        settings: All settings in effect, as YAML.
    """

    origin: Origin
    settings: str


def read_started(source: Source) -> Started:
    """The origin of a run.

    Raises:
        MissingError: It recorded none.
    """
    if source.run.origin is None:
        raise MissingError("this run recorded no settings: it is of an earlier version of this project")
    settings = dict(source.run.origin.settings)
    return Started(source.run.origin, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=100))
