"""The settings of dates, and what is said of those that make no sense."""

from typing import Any

import pytest
from pydantic import ValidationError

from models.problem.dates import Date
from models.problem.kinds import FEATURE_KINDS, RawType


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"format": "%Y-%x"}, "format: found '%x' in '%Y-%x'; expected 'iso' or directives among %Y, "),
        ({"format": "%Y%"}, "format: found '%' in '%Y%'; expected 'iso' or directives"),
        ({"format": "%Y %y"}, "found '%Y' and '%y' in '%Y %y'; expected one of them"),
        ({"format": "%d.%Y"}, "found '%d' without %m or %B or %b in '%d.%Y'; expected both"),
        ({"format": "%H:%M%z:%S"}, "found '%H:%M%z:%S'; expected a space or the end after '%z'"),
        ({"format": "%H:%M%z%d %m %Y"}, "found '%H:%M%z%d %m %Y'; expected a space or the end after '%z'"),
        ({"format": "%Y %I"}, "found '%I' without %p in '%Y %I'; expected both"),
        ({"format": "day"}, "found 'day'; expected 'iso', or a format with a year (%Y) or an hour (%H)"),
        ({"format": "%Y年"}, "found '%Y年'; expected ASCII characters"),
        ({"format": "%Y" + "-" * 50}, "for texts of up to 54 characters; expected at most 50"),
        ({"format": "%Y", "unit": "s"}, "found both 'format' and 'unit'; expected 'format' for text, or 'unit'"),
        ({"format": "%H:%M", "parts": ("year",)}, "parts: found 'year', but format '%H:%M' has no date; remove it"),
        ({"unit": "d", "parts": ("hour",)}, "parts: found 'hour', but unit 'd' has no time of the day; remove it"),
        ({"parts": ("year", "year")}, "parts: found a part twice; expected each once"),
        ({"parts": ("age",)}, "expected 'reference', a date such as 2026-01-31, together with the part 'age'"),
        ({"reference": "2020-01-01"}, "expected 'reference', a date such as 2026-01-31, together with the part 'age'"),
        ({"parts": ("age",), "reference": "soon"}, "reference: found 'soon'; expected a date such as 2026-01-31"),
    ],
)
def test_settings_that_make_no_sense(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Date(**options)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("options", "raw_type", "said"),
    [
        ({}, "BYTES", None),
        ({"unit": "s"}, "INT", None),
        ({"format": "%Y%m%d"}, "INT", None),
        ({"format": "%Y%m%d"}, "BYTES", None),
        ({"unit": "s"}, "BYTES", "found 'unit: s' for text; expected 'format', such as '%Y-%m-%d'"),
        ({}, "INT", "found format 'iso' for integers; expected 'unit', such as s, or a format of digits, such as"),
        ({"format": "%Y-%m"}, "INT", "found format '%Y-%m' for integers; expected 'unit', such as s"),
    ],
)
def test_settings_fit_the_type_of_the_column(options: dict[str, Any], raw_type: RawType, said: str | None) -> None:
    found = Date(**options).type_problem(raw_type)
    assert (said is None) == (found is None)
    assert (said or "") in (found or "")


@pytest.mark.parametrize(
    ("options", "parts", "width"),
    [
        ({}, ("year", "month", "day_of_month", "day_of_week", "hour"), 9),
        ({"format": "%d.%m.%Y"}, ("year", "month", "day_of_month", "day_of_week"), 7),
        ({"format": "%H:%M"}, ("hour",), 2),
        ({"unit": "d"}, ("year", "month", "day_of_month", "day_of_week"), 7),
        ({"unit": "ms", "parts": ("age", "hour"), "reference": "2020-01-01"}, ("age", "hour"), 3),
    ],
)
def test_the_parts_and_the_width_of_the_feature(options: dict[str, Any], parts: tuple[str, ...], width: int) -> None:
    spec = Date(**options)
    assert spec.chosen_parts == parts
    assert spec.outputs(FEATURE_KINDS["date"])[""].width == width
