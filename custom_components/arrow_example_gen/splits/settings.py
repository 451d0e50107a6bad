"""How a table is split, as the settings say it. Imports neither TFX nor pyarrow."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

# Units of a duration, in microseconds.
SECOND = 1_000_000
UNITS = {"s": SECOND, "min": 60 * SECOND, "h": 3_600 * SECOND, "d": 86_400 * SECOND, "w": 604_800 * SECOND}
_DURATION = re.compile(rf"(\d{{1,9}}(?:\.\d{{1,6}})?) ?({'|'.join(UNITS)})")
EXPECTED_GAP = "a number of 0 or more in the unit of the column, or a duration such as 7d, 12h, 30min or 45s"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitBy:
    """What decides the split of a row. At most one of ``time``, ``column`` and ``test`` is set.

    Attributes:
        key: Column to hash. ``None`` hashes the complete row.
        time: Column of times. Earlier rows are in earlier splits.
        gap: Minimum time between the last row of a split and the first row of the next, as for :func:`parse_gap`.
        column: Column whose values name the splits.
        test: A file or a folder with the rows of the last split.
        test_pattern: Pattern of the files in that folder.
        required: Whether each row must have a value in the column. If not, rows without one are left out.
    """

    key: str | None = None
    time: str | None = None
    gap: str = "0"
    column: str | None = None
    test: str | None = None
    test_pattern: str = "*"
    required: bool = False

    def to_options(self) -> dict[str, Any]:
        """The settings that differ from their defaults, without the key, as options of a node."""
        defaults = BY_ROW
        found = {name: value for name, value in dataclasses.asdict(self).items() if value != getattr(defaults, name)}
        unused = {"key", *(() if self.test else ("test_pattern",))}
        return {f"split_{name}": value for name, value in found.items() if name not in unused}

    @classmethod
    def of_options(cls, options: Mapping[str, Any]) -> "SplitBy":
        """The settings of the options that :meth:`to_options` returned, and of the option ``key``."""
        names = [field.name for field in dataclasses.fields(cls) if field.name != "key"]
        found = {name: options[f"split_{name}"] for name in names if f"split_{name}" in options}
        return cls(key=options.get("key"), **found)


BY_ROW = SplitBy()


class Gap(NamedTuple):
    """A time span.

    Attributes:
        size: Number in the unit of the column, or microseconds.
        is_duration: Whether it is in microseconds.
    """

    size: int | float
    is_duration: bool = False


def parse_gap(text: str) -> Gap:
    """Parses a gap.

    >>> parse_gap("12h")
    Gap(size=43200000000, is_duration=True)
    >>> parse_gap("0.5")
    Gap(size=0.5, is_duration=False)

    Raises:
        ValueError: It is neither a number nor a duration, or negative.
    """
    if match := _DURATION.fullmatch(text.strip()):
        return Gap(round(float(match[1]) * UNITS[match[2]]), is_duration=True)
    for number in (int, float):
        try:
            size = number(text)
        except ValueError:
            continue
        if 0 <= size < float("inf"):
            return Gap(size)
        break
    raise ValueError(f"found '{text[:60]}'; expected {EXPECTED_GAP}")
