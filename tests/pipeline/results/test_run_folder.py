import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts.summary import failed_summary
from common.project import ROOT
from pipeline.config.errors import ConfigError
from pipeline.results.run_folder import RunFolder, failed_runs, interrupted_runs, last_complete_run, locked

HOLD = """
import sys
from pathlib import Path
from pipeline.results.run_folder import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
NOISE = """
import os, subprocess, sys
from pathlib import Path
from pipeline.results.run_folder import RunFolder
folder = RunFolder(Path(sys.argv[1]))
print("before")
try:
    with folder.capture() as (out, err):
        print("python")
        print("python error", file=sys.stderr)
        os.write(2, b"native\\n")
        subprocess.run(["sh", "-c", "echo child; echo child error >&2"])
        print("user", file=out)
        print("user error", file=err)
        raise KeyError
except KeyError:
    pass
print("after")
print("after error", file=sys.stderr)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_lock_is_refused_while_another_process_holds_it(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(ConfigError) as error, locked(tmp_path / "out"):
        pass
    assert str(error.value).startswith(f"{tmp_path / 'out'}: another run is using it")
    assert "--output" in str(error.value)
    with locked(tmp_path / "other"):
        pass


def test_lock_is_free_again_when_its_holder_is_killed(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    with locked(tmp_path / "out"):
        pass


def test_lock_is_free_again_after_the_block(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "made" / "here"):
            assert (tmp_path / "made" / "here").is_dir()


@pytest.mark.parametrize("name", ["file", "file/out"])
def test_output_that_cannot_be_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as error, locked(tmp_path / name):
        pass
    assert str(error.value).startswith(f"{tmp_path / name}: ")
    assert "--output" in str(error.value)
    assert "\n" not in str(error.value)


def test_output_of_the_process_and_its_children_goes_to_the_log_and_messages_to_the_user(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NOISE, str(tmp_path)]
    env = {**os.environ, "PYTHONUNBUFFERED": ""}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, check=True)
    assert done.stdout.splitlines() == ["before", "user", "after"]
    assert done.stderr.splitlines() == ["user error", "after error"]
    log = (tmp_path / "runs/latest/log").read_text()
    assert sorted(log.splitlines()) == ["child", "child error", "native", "python", "python error"]


def test_latest_points_at_the_newest_run_wherever_the_output_is_moved(tmp_path: Path) -> None:
    first = RunFolder(tmp_path / "out")
    time.sleep(0.002)
    second = RunFolder(tmp_path / "out")
    assert first.run_id < second.run_id
    assert second.path == tmp_path / "out/runs" / second.run_id
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    assert (moved / "runs/latest").resolve() == moved / "runs" / second.run_id
    assert sorted(path.name for path in (moved / "runs").iterdir()) == [first.run_id, second.run_id, "latest"]


def test_summary_is_written_atomically(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    summary = dataclasses.replace(failed_summary("taxi", "error"), run_id=folder.run_id)
    folder.write_summary(summary)
    assert json.loads((tmp_path / "runs/latest/summary.json").read_text())["run_id"] == folder.run_id
    assert sorted(path.name for path in folder.path.iterdir()) == ["log", "summary.json"]


def test_runs_without_a_summary_were_interrupted(tmp_path: Path) -> None:
    assert interrupted_runs(tmp_path) == []
    for name in ("3", "1", "2"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "runs/2/summary.json").write_text('{"status": "failed"}')
    (tmp_path / "runs/stray").touch()
    (tmp_path / "runs/latest").symlink_to("3")
    assert interrupted_runs(tmp_path) == ["1", "3"]
    RunFolder(tmp_path).write_summary(failed_summary("taxi", "error"))
    assert interrupted_runs(tmp_path) == ["1", "3"]


def test_a_run_whose_summary_is_empty_was_interrupted(tmp_path: Path) -> None:
    """A power cut may leave an empty file. The run's executions have to be closed."""
    folder = RunFolder(tmp_path)
    (folder.path / "summary.json").touch()
    assert interrupted_runs(tmp_path) == [folder.run_id]


def test_folder_whose_name_ml_metadata_cannot_look_up_is_no_run(tmp_path: Path) -> None:
    for name in (b"caf\xe9", "caf\N{LATIN SMALL LETTER E WITH ACUTE}".encode()):
        os.makedirs(os.fsencode(tmp_path) + b"/runs/" + name)
    assert interrupted_runs(tmp_path) == []


def test_failed_runs_are_those_whose_summary_says_so(tmp_path: Path) -> None:
    assert failed_runs(tmp_path) == []
    for name, text in {"1": "", "2": '{"status": "pushed"}', "3": "[]", "4": '{"status": "failed"}'}.items():
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "summary.json").write_text(text)
    (tmp_path / "runs/latest").symlink_to("4")
    assert failed_runs(tmp_path) == ["4"]


def test_latest_that_became_a_folder_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "runs/latest").mkdir(parents=True)
    (tmp_path / "runs/latest/log").touch()
    with pytest.raises(ConfigError, match=r"runs/latest: found a folder; expected a link .* rename or remove it"):
        RunFolder(tmp_path)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["latest"]
    assert (tmp_path / "runs/latest/log").exists()


def test_folder_that_cannot_be_written_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "runs/.latest/full").mkdir(parents=True)  # the link cannot be made, as without a free inode
    with pytest.raises(ConfigError, match=r"/runs: Is a directory; expected a folder .*--output$"):
        RunFolder(tmp_path)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [".latest"]


def test_summary_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (folder.path / "summary.json").mkdir()
    with pytest.raises(IsADirectoryError):
        folder.write_summary(failed_summary("taxi", "error"))
    assert sorted(path.name for path in folder.path.iterdir()) == ["log", "summary.json"]


def test_a_message_that_cannot_be_written_is_an_error_of_standard_output() -> None:
    code = "from pathlib import Path; from common.terminal import run_command\n"
    code += "from pipeline.results.run_folder import captured\ndef work():\n"
    code += "    with captured(Path('/dev/null')) as (out, err): print('user', file=out)\nrun_command(work)"
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    assert done.stderr == "error standard output: No space left on device; the result was not written\n"
    assert done.returncode == 1


def test_full_log_and_full_output_do_not_end_the_run(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from pipeline.results.run_folder import captured\n"
    code += "with captured(Path('/dev/full')) as (out, err):\n    print('noise'); print('user', file=err, flush=True)\n"
    code += "    try: print('lost', file=out)\n    except OSError: pass\nprint('after', file=sys.stderr)"
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", code]
        env = {**os.environ, "PYTHONUNBUFFERED": ""}
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env, check=True)
    assert done.stderr.splitlines() == ["user", "after"]


def test_last_complete_run_needs_only_the_status(tmp_path: Path) -> None:
    """A damaged summary, or one of an earlier version, must not stop later runs."""
    summaries = {
        "1": '{"status": "pushed", "tflite": {"bytes": 1}}',
        "2": '{"status": "failed"}',
        "3": '{"stat',
        "4": "[]",
    }
    for name, text in summaries.items():
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(text)
    assert last_complete_run(tmp_path, {"1", "3", "4"}.__contains__) == "1"


def test_last_complete_run_is_one_that_ml_metadata_has(tmp_path: Path) -> None:
    """As after an older copy of the database was restored."""
    for name in ("1", "2", "3"):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text('{"status": "pushed"}')
    assert last_complete_run(tmp_path, {"1", "2"}.__contains__) == "2"
    assert last_complete_run(tmp_path, set[str]().__contains__) is None
