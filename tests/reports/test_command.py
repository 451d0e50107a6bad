import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import ROOT
from report_run import TinyStore, summary
from whole_run import RUN, whole_run

from reports.__main__ import main


@pytest.fixture
def tiny(tmp_path: Path) -> TinyStore:
    tiny = TinyStore(tmp_path / "output")
    for run in ("first", "second"):
        tiny.begin(run)
        tiny.end(summary(run, {"Trainer": "ran"}))
    return tiny


@pytest.mark.slow  # TFMA takes seconds to import
def test_both_pages_are_written_and_nothing_else_is_printed() -> None:
    pages = whole_run()
    for page in (pages.page, pages.index):
        page.unlink()
    command = [sys.executable, "-m", "reports", RUN[:8], "--json", f"--output={pages.tiny.output}"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert json.loads(result.stdout) == {"page": str(pages.page), "index": str(pages.index)}
    assert RUN in pages.html
    assert "live: tiny" in pages.index.read_text(encoding="utf-8")


def test_the_latest_run_is_the_default(tiny: TinyStore) -> None:
    result = CliRunner().invoke(main, [f"--output={tiny.output}"])
    assert result.exit_code == 0, result.output
    page, index = tiny.output / "runs/second/report.html", tiny.output / "runs/index.html"
    assert result.stdout.split() == ["run", "second", "page", str(page), "index", str(index)]
    assert "run <bdi>second</bdi>" in page.read_text()
    assert not (tiny.output / "runs/first/report.html").exists()


def test_a_run_that_does_not_exist_is_refused(tiny: TinyStore) -> None:
    result = CliRunner().invoke(main, ["nope", f"--output={tiny.output}"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error run 'nope': not found")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tiny: TinyStore) -> None:
    folder = tiny.output / "runs/first"
    folder.chmod(0o500)
    try:
        result = CliRunner().invoke(main, ["first", f"--output={tiny.output}"])
    finally:
        folder.chmod(0o700)
    assert result.exit_code == 2
    assert "Permission denied; expected a folder that can be written" in result.stderr
