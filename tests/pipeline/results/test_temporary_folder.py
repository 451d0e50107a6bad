import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipeline.results.temporary_folder import LINK, LOCK, remove_temporary_folders, temporary_folder

KILLED = """
import os, signal, tempfile
from pathlib import Path
from pipeline.results.temporary_folder import temporary_folder
with temporary_folder(Path(os.environ["RUN"])):
    tempfile.mkdtemp(prefix="beam-temp")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def system_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder for temporary files."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def test_files_of_this_process_and_its_children_are_removed_at_the_end(system_folder: Path, tmp_path: Path) -> None:
    with temporary_folder(tmp_path) as folder:
        tempfile.mkdtemp()
        subprocess.run([sys.executable, "-I", "-c", "import tempfile; tempfile.mkstemp()"], check=True)
        assert len([path for path in folder.iterdir() if path.name != LOCK]) == 2
        assert list(system_folder.iterdir()) == [folder]
    assert not list(system_folder.iterdir())
    assert not os.path.lexists(tmp_path / LINK)
    assert os.environ["TMPDIR"] == tempfile.gettempdir() == str(system_folder)


def test_files_of_a_killed_run_are_removed_by_the_next_one(system_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    subprocess.run([sys.executable, "-c", KILLED], env={**os.environ, "RUN": str(run)}, check=False)
    [left] = system_folder.iterdir()
    assert list(left.iterdir())
    remove_temporary_folders([run, tmp_path / "a run without one"])
    assert not list(system_folder.iterdir())
    assert not list(run.iterdir())


RUNNING = """
import os, sys
from pathlib import Path
from pipeline.results.temporary_folder import temporary_folder
with temporary_folder(Path(os.environ["RUN"])) as folder:
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_folder_of_a_run_that_was_copied_while_it_was_running_is_kept(system_folder: Path, tmp_path: Path) -> None:
    run, copy = tmp_path / "run", tmp_path / "copy"
    run.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", RUNNING],
        env={**os.environ, "RUN": str(run)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        shutil.copytree(run, copy, symlinks=True)
        remove_temporary_folders([copy])
        assert [path.name for path in system_folder.glob("*/*")] == [LOCK]
        process.communicate()
    assert not list(system_folder.iterdir())


def test_folder_of_anything_else_is_kept(tmp_path: Path) -> None:
    own = tmp_path / "photos"
    own.mkdir()
    (tmp_path / LINK).symlink_to(own)
    remove_temporary_folders([tmp_path])
    assert own.is_dir()
    assert not os.path.lexists(tmp_path / LINK)
