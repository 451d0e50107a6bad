import io
from pathlib import Path

import pytest

from lineage.store import connection
from pipeline.results.console import RunConsole
from pipeline.results.report_page import write_report


@pytest.mark.parametrize(
    ("raised", "line"),
    [(RuntimeError("no\nroom"), "RuntimeError: no room"), (KeyboardInterrupt(), "KeyboardInterrupt")],
)
def test_a_page_that_cannot_be_made_is_one_line_and_a_trace(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    raised: BaseException,
    line: str,
) -> None:
    shown = io.StringIO()

    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(connection, "open_reader", fail)
    assert write_report(tmp_path, "run", RunConsole(shown)) is None
    assert shown.getvalue() == f"no report page: {line}\n"
    assert "Traceback" in capsys.readouterr().err


def test_a_store_that_is_gone_does_not_raise(tmp_path: Path) -> None:
    shown = io.StringIO()
    assert write_report(tmp_path, "run", RunConsole(shown)) is None
    assert shown.getvalue().startswith("no report page: LineageError:")
