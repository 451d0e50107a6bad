"""Settings of the feature kind ``date``."""

import datetime
from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import Field
from pydantic.dataclasses import dataclass

from models.problem.date_formats import ISO, DateFormat, parse_format
from models.problem.kinds import FeatureKind, FeatureSettings, Output, RawType
from models.problem.types import STRICT

Unit = Literal["s", "ms", "us", "ns", "d"]
Part = Literal["year", "month", "day_of_month", "day_of_week", "day_of_year", "hour", "minute_of_day", "age"]
SECONDS: tuple[Unit, ...] = ("s", "ms", "us", "ns")
PARTS: tuple[Part, ...] = get_args(Part)
EPOCH = datetime.date(1970, 1, 1)
FIRST_DAY, LAST_DAY = (datetime.date.min - EPOCH).days, (datetime.date.max - EPOCH).days  # of the years 1 and 9999
PER_DAY: Mapping[Unit, int] = {"d": 1, **{unit: 86_400 * 1000**power for power, unit in enumerate(SECONDS)}}
# The periods of the cyclical parts. The other parts are scaled as numbers.
PERIODS: Mapping[Part, int] = {
    "month": 12,
    "day_of_month": 31,
    "day_of_week": 7,
    "day_of_year": 366,
    "hour": 24,
    "minute_of_day": 1440,
}
OF_TIME: tuple[Part, ...] = ("hour", "minute_of_day")
OF_DATE: tuple[Part, ...] = ("year", "month", "day_of_month", "day_of_week")  # unless the settings list others


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Date(FeatureSettings):
    """A date or a time, replaced by parts of it.

    Attributes:
        format: How a text, or an integer such as 20130131, is written. ``None`` is ISO 8601 for text.
        unit: What an integer counts since 1970 in UTC.
        parts: The parts. ``None`` is the year, month, day of the month, day of the week, and the hour if there is one.
        reference: The date from which the age is counted back, in ISO 8601.
    """

    format: str | None = None
    unit: Unit | None = None
    parts: Annotated[tuple[Part, ...], Field(min_length=1)] | None = None
    reference: str | None = None

    def __post_init__(self) -> None:
        if self.format is not None and self.unit is not None:
            raise ValueError("found both 'format' and 'unit'; expected 'format' for text, or 'unit' for integers")
        if self.format is not None:
            try:
                parse_format(self.format)
            except ValueError as error:
                raise ValueError(f"format: {error}") from error
        chosen = self.chosen_parts
        if len(set(chosen)) != len(chosen):
            raise ValueError("parts: found a part twice; expected each once")
        for part in chosen:
            if not (self.has_time if part in OF_TIME else self.has_date):
                lacks = "no time of the day" if part in OF_TIME else "no date"
                raise ValueError(f"parts: found '{part}', but {self.shown} has {lacks}; remove it")
        self._check_reference()

    def _check_reference(self) -> None:
        if ("age" in self.chosen_parts) != (self.reference is not None):
            raise ValueError("expected 'reference', a date such as 2026-01-31, together with the part 'age'")
        if self.reference is not None:
            try:
                _ = self.reference_days
            except ValueError:
                raise ValueError(f"reference: found '{self.reference}'; expected a date such as 2026-01-31") from None

    @property
    def shown(self) -> str:
        """How values are written, for a message."""
        return f"unit '{self.unit}'" if self.unit else f"format '{self.format or ISO}'"

    @property
    def date_format(self) -> DateFormat:
        """How a text, or an integer as text, is written."""
        return parse_format(self.format or ISO)

    @property
    def has_date(self) -> bool:
        """Whether a value has a year."""
        return self.unit is not None or self.date_format.has_date

    @property
    def has_time(self) -> bool:
        """Whether a value can have a time of the day."""
        return self.unit != "d" if self.unit else self.date_format.has_time

    @property
    def chosen_parts(self) -> tuple[Part, ...]:
        """The parts, in the order of the values of the feature."""
        if self.parts is not None:
            return self.parts
        return (*(OF_DATE if self.has_date else ()), *(OF_TIME[:1] if self.has_time else ()))

    @property
    def reference_days(self) -> int:
        """Days from 1970 to the reference.

        Raises:
            ValueError: It is not a date.
        """
        return (datetime.date.fromisoformat(self.reference or "") - EPOCH).days

    @property
    def range(self) -> tuple[int, int]:
        """The first and the last integer of the unit that is in the calendar and has 64 bits."""
        assert self.unit
        count = PER_DAY[self.unit]
        return max(FIRST_DAY * count, -(2**63) + 1), min((LAST_DAY + 1) * count - 1, 2**63 - 1)

    def outputs(self, kind: FeatureKind) -> Mapping[str, Output]:
        """One tensor, with a sine and a cosine for each part with a period, and one value for each other part."""
        width = sum(2 if part in PERIODS else 1 for part in self.chosen_parts)
        return {"": kind.output._replace(width=width)}

    def type_problem(self, raw_type: RawType, /) -> str | None:
        """What is wrong with the settings for a raw column of a type, or ``None``."""
        if raw_type == "BYTES" and self.unit:
            return f"found 'unit: {self.unit}' for text; expected 'format', such as '%Y-%m-%d'"
        if raw_type == "INT" and not self.unit and not (self.format and self.date_format.is_digits):
            return f"found {self.shown} for integers; expected 'unit', such as s, or a format of digits, such as %Y%m%d"
        return None
