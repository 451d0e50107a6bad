import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.logs import last_error, show_control_characters


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


@pytest.fixture
def handler() -> Iterator[logging.StreamHandler[io.StringIO]]:
    """A handler of the root logger, in place of pytest's."""
    before, logging.root.handlers = logging.root.handlers, []
    found = logging.StreamHandler(io.StringIO())
    found.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
    logging.root.addHandler(found)
    yield found
    logging.root.handlers = before


def test_control_characters_in_a_log_are_shown(handler: logging.StreamHandler[io.StringIO]) -> None:
    show_control_characters()
    logging.getLogger("absl").error("%s failed", "\x1b[2Jmodel\x9b")
    assert handler.stream.getvalue() == "ERROR:absl:\\x1b[2Jmodel\\x9b failed\n"
