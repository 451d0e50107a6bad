import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner
from conftest import ROOT
from whole_run import RUN, Made, whole_run

from lineage.commands.cli import main


@pytest.fixture(name="made")
def _made() -> Made:
    return whole_run()


def ask(made: Made, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "lineage", "html", *arguments, f"--output={made.tiny.output}"]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.slow  # TFMA takes seconds to import
def test_html_writes_both_pages_and_prints_nothing_else(made: Made) -> None:
    for page in (made.page, made.index):
        page.unlink()
    result = ask(made, RUN[:8], "--json")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert json.loads(result.stdout) == {"page": str(made.page), "index": str(made.index)}
    assert RUN in made.html
    assert "live: tiny" in made.index.read_text(encoding="utf-8")


def test_html_of_a_run_that_is_not_there_is_refused(made: Made) -> None:
    result = CliRunner().invoke(main, ["html", "nope", f"--output={made.tiny.output}"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error run 'nope': not found")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(made: Made) -> None:
    made.page.parent.chmod(0o500)
    try:
        result = CliRunner().invoke(main, ["html", RUN, f"--output={made.tiny.output}"])
    finally:
        made.page.parent.chmod(0o700)
    assert result.exit_code == 2
    assert "Permission denied; expected a folder that can be written" in result.stderr
