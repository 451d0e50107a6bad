import re

import pytest

from pipeline.config.cron import check_cron


@pytest.mark.parametrize(
    "text",
    [
        "0 3 * * *",
        "*/15 0-6,22,23 1-31/2 JAN-mar,12 1-5",
        "59 23 31 12 7",
        "TZ=Europe/Berlin 0 3 * * MON-FRI",
        "TZ=UTC 0 0 1 1 SUN",
    ],
)
def test_valid_expression_is_returned_unchanged(text: str) -> None:
    assert check_cron(text) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("60 3 * * *", "found the minutes '60'; expected *, numbers from 0 to 59"),
        ("0 24 * * *", "found the hours '24'; expected *, numbers from 0 to 23"),
        ("0 3 0 * *", "found the days '0'; expected *, numbers from 1 to 31"),
        ("0 3 * 13 *", "found the months '13'"),
        ("0 3 * MON *", "found the months 'MON'"),
        ("0 3 * * 8", "found the days of the week '8'"),
        ("0 3 * * JAN", "found the days of the week 'JAN'"),
        ("5-1 3 * * *", "found the minutes '5-1'"),
        ("*/0 3 * * *", "found the minutes '*/0'"),
        ("1,,2 3 * * *", "found the minutes '1,,2'"),
        ("a b c d e", "found the minutes 'a'"),
        ("\N{SUPERSCRIPT TWO} 3 * * *", "found the minutes"),
        ("-1 3 * * *", "found the minutes '-1'"),
        ("TZ=Europe/Berln 0 3 * * *", "TZ: unknown time zone 'Europe/Berln'; .*did you mean 'Europe/Berlin'"),
    ],
)
def test_invalid_expression_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message if ".*" in message else re.escape(message)):
        check_cron(text)
