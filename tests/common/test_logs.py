from pathlib import Path

import pytest

from common.logs import last_error


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Traceback:\n  at line 1\nValueError: first\nthen\nlib.sub.OddError: last\nbye\n", "lib.sub.OddError: last"),
        ("KeyError\n", "KeyError"),
        ("all went well\nan Error: within a line\n", None),
        ("", None),
    ],
)
def test_the_last_error_of_a_log_is_the_line_by_which_its_trace_ends(
    tmp_path: Path, text: str, found: str | None
) -> None:
    log = tmp_path / "log"
    log.write_bytes(text.encode() + b"\xff\n")
    assert last_error(log) == found
