import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from common.console import DataConsole
from common.project import ROOT
from common.terminal import TolerantFile, printable, printable_json

FULL = Path("/dev/full")
HOSTILE = "a\x1b]0;title\x07\x1b[2Jb\x9b1mc\u202ed\rcaf\u00e9\udcff"
SHOWN = "a\\x1b]0;title\\x07\\x1b[2Jb\\x9b1mc\\u202ed\\rcaf\u00e9\\udcff"


def run(code: str, stdout: int | IO[str] | None, **environment: str) -> "subprocess.CompletedProcess[str]":
    lines = f"from common.terminal import run_command\n{code}"
    command = [sys.executable, "-c", lines]
    variables = {**os.environ, **environment}
    return subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=variables, check=False
    )


@pytest.mark.parametrize("code", ["run_command(lambda: print('x'))", "run_command(lambda: print('x' * 100_000))"])
def test_a_full_standard_output_is_one_line(code: str) -> None:
    with FULL.open("w") as full:
        done = run(code, full)
    assert done.stderr == "error standard output: No space left on device; the result was not written\n"
    assert done.returncode == 1


def test_a_full_standard_error_does_not_change_the_exit_code() -> None:
    code = "import sys\nfrom common.terminal import run_command\ndef refuse():\n"
    code += "    print('x', file=sys.stderr)\n    sys.exit(2)\nrun_command(refuse)"
    with FULL.open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stderr=full, cwd=ROOT, check=False)
    assert done.returncode == 2


def test_a_line_on_standard_error_is_written_at_once() -> None:
    code = "import os, sys\ndef work():\n    print('x', file=sys.stderr)\n    os._exit(0)\nrun_command(work)"
    assert run(code, subprocess.DEVNULL).stderr == "x\n"


def test_the_error_of_another_file_is_not_taken_for_standard_output() -> None:
    done = run(f"run_command(lambda: open('{FULL}', 'w').write('x' * 100_000))", subprocess.DEVNULL)
    assert "standard output" not in done.stderr
    assert "OSError: [Errno 28]" in done.stderr


def test_a_closed_pipe_ends_the_command_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run("run_command(lambda: print('x' * 100_000))", writer)
    os.close(writer)
    assert (done.stderr, done.returncode) == ("", 1)


def test_files_do_not_get_the_number_of_a_closed_standard_output(tmp_path: Path) -> None:
    code = (
        f"import os, sys; os.close(1); sys.stdout = None\ndef work():\n    file = open({str(tmp_path / 'f')!r}, 'w')\n"
    )
    code += "    os.write(1, b'noise'); print('noise'); file.write('text'); file.close()\nrun_command(work)"
    done = run(code, None)
    assert (done.returncode, done.stderr, (tmp_path / "f").read_text()) == (0, "", "text")


def test_characters_that_standard_output_does_not_have_are_escaped() -> None:
    text = "caf\u00e9 \U0001f600 \udcff"
    done = run(
        f"import json\nrun_command(lambda: print({json.dumps(text)}))", subprocess.PIPE, PYTHONIOENCODING="ascii"
    )
    assert (done.stdout, done.stderr) == ("caf\\u00e9 \\ud83d\\ude00 \\udcff\n", "")
    assert json.loads(f'"{done.stdout.strip()}"') == text


def test_a_user_without_a_home_folder_gets_one() -> None:
    code = "import os, pwd\nos.environ.pop('HOME', None)\ndef unknown(_): raise KeyError\npwd.getpwuid = unknown\n"
    done = run(f"{code}from pathlib import Path\nrun_command(lambda: print(Path.home()))", subprocess.PIPE)
    assert done.stdout.strip() == str(ROOT / ".cache/home"), done.stderr


def test_control_characters_are_shown() -> None:
    assert printable(HOSTILE) == SHOWN
    assert printable("a\tb\n") == "a\tb\n"


def test_json_with_control_characters_is_the_same_document() -> None:
    document = printable_json(json.dumps({"name": HOSTILE}, ensure_ascii=False))
    assert json.loads(document) == {"name": HOSTILE}
    assert "\x9b" not in document
    assert document.encode()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_console_shows_control_characters_and_keeps_its_own(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    file = io.StringIO()
    monkeypatch.setattr(file, "isatty", lambda: terminal)
    DataConsole(file).print("[bold]\x1b[2Jx[/]")
    assert file.getvalue() == ("\x1b[1m\\x1b[2Jx\x1b[0m\n" if terminal else "\\x1b[2Jx\n")


def test_a_tolerant_file_goes_on_after_an_error() -> None:
    with FULL.open("w", buffering=1) as full:
        file = TolerantFile(full)
        assert file.write("a\n") == 2
        assert file.failure
        assert file.write("b\n") == 2
        file.flush()
        with pytest.raises(OSError, match="No space left"):
            full.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # for what is left in its buffer
