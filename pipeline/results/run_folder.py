"""The folder of one run, the lock on its output directory, and its log."""

import contextlib
import datetime
import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from artifacts.files import UNREADABLE, read_object
from artifacts.names import SUMMARY_FILE
from artifacts.summary import RunSummary, Status
from common.terminal import flush_or_discard, output_file
from pipeline.config.errors import ConfigError

LOG, LATEST, TRAINING_LOGS = "log", "latest", "tensorboard"
COMPLETE: tuple[Status, ...] = ("pushed", "not_blessed", "partial")


@contextlib.contextmanager
def locked(output: Path) -> Iterator[None]:
    """Locks the output directory until the block or the process ends, and creates it if necessary.

    Raises:
        ConfigError: It cannot be created or written, or another run has locked it.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        file = (output / ".lock").open("a")
    except OSError as error:
        what = "a file" if isinstance(error, FileExistsError) else error.strerror
        raise ConfigError(f"{output}: {what}; expected a folder that can be written (--output)") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"{output}: another run is using it; wait for it to finish, or choose another folder with --output"
            ) from None
        yield


class RunFolder:
    """``runs/<run id>`` under an output directory.

    Attributes:
        run_id: Start time in UTC. Ids sort by time.
        path: The folder.
    """

    def __init__(self, output: Path) -> None:
        """Creates the folder and an empty log in it, and makes ``runs/latest`` link to it.

        Raises:
            ConfigError: The folder cannot be written, or ``runs/latest`` is not a link.
        """
        now = datetime.datetime.now(datetime.UTC)
        # In microseconds, since runs of several output folders may share one database.
        self.run_id = now.strftime("%Y%m%dT%H%M%S.%fZ")
        self.path = output / "runs" / self.run_id
        latest = output / "runs" / LATEST
        if latest.is_dir() and not latest.is_symlink():
            raise ConfigError(
                f"{latest}: found a folder; expected a link to the newest run, which some programs copy as a folder: "
                "rename or remove it, since the run that it is a copy of is next to it"
            )
        try:
            self.path.mkdir(parents=True)
            self.log.touch()
            link = latest.with_name(f".{LATEST}")
            link.unlink(missing_ok=True)
            link.symlink_to(self.run_id)
            link.replace(latest)
        except OSError as error:
            shutil.rmtree(self.path, ignore_errors=True)
            raise ConfigError(
                f"{latest.parent}: {error.strerror}; expected a folder that can be written, with space for a run: "
                "free some, or choose another folder with --output"
            ) from error

    @property
    def log(self) -> Path:
        """The output of TensorFlow, Beam and TFX."""
        return self.path / LOG

    def write_summary(self, summary: RunSummary) -> None:
        """Writes ``summary.json`` atomically.

        Raises:
            OSError: It cannot be written.
        """
        partial = self.path / f".{SUMMARY_FILE}"
        try:
            partial.write_text(summary.to_json() + "\n", encoding="utf-8")
            partial.replace(self.path / SUMMARY_FILE)
        except OSError:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise

    @property
    def training_logs(self) -> Path:
        """Folder of the TensorBoard logs."""
        return self.path / TRAINING_LOGS

    def link_training_logs(self, logs: Path) -> None:
        """Links to the logs of the earlier run that trained the model, if this run did not train it."""
        if not self.training_logs.exists() and logs.exists():
            self.training_logs.symlink_to(os.path.relpath(logs, self.path.resolve()))

    def capture(self) -> contextlib.AbstractContextManager[tuple[IO[str], IO[str]]]:
        """Redirects output to the log. See :func:`captured`."""
        return captured(self.log)


@contextlib.contextmanager
def captured(log: Path) -> Iterator[tuple[IO[str], IO[str]]]:
    """Redirects standard output and error to a file, including those of C++ code and child processes.

    Yields:
        The original standard output and error, for messages to the user.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with log.open("ab") as file, _duplicate(kept[0]) as out, _duplicate(kept[1]) as err:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield out, err
        finally:
            for stream in (sys.stdout, sys.stderr):
                flush_or_discard(stream)  # the log's disk may be full
            for number, original in enumerate(kept, start=1):
                os.dup2(original, number)
                os.close(original)


@contextlib.contextmanager
def _duplicate(descriptor: int) -> Iterator[IO[str]]:
    """Opens a copy of a descriptor to write text to. At the end, what cannot be written is discarded."""
    file = output_file(os.dup(descriptor), "utf-8", "backslashreplace", line_buffering=True, closefd=True)
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            file.close()


def last_complete_run(output: Path, is_recorded: Callable[[str], bool]) -> str | None:
    """Returns the id of the newest run without a failed node, or ``None``.

    Args:
        output: The output folder of the runs.
        is_recorded: Returns whether ML Metadata has a run. An older copy of its database lacks the newest ones.
    """
    for path in sorted((output / "runs").glob(f"*/{SUMMARY_FILE}"), reverse=True):
        with contextlib.suppress(*UNREADABLE):  # a damaged summary must not stop later runs
            # Only the status: summaries of earlier versions have fewer fields.
            run_id = path.parent.name
            if run_id != LATEST and read_object(path).get("status") in COMPLETE and is_recorded(run_id):
                return run_id
    return None


def interrupted_runs(output: Path) -> list[str]:
    """Returns the ids of runs that were killed before they wrote a summary, oldest first.

    After a power cut, a summary may be empty. Such a run is one of them, since closing it again changes nothing.
    """
    runs = output / "runs"
    if not runs.is_dir():
        return []
    folders = [path for path in runs.iterdir() if path.is_dir() and not path.is_symlink()]
    return sorted(path.name for path in folders if _is_run(path.name) and not _has_summary(path))


def failed_runs(output: Path) -> list[str]:
    """Returns the ids of runs that failed, oldest first.

    If ML Metadata failed, too, it may have executions of them that are still open.
    """
    found = []
    for path in sorted((output / "runs").glob(f"*/{SUMMARY_FILE}")):
        with contextlib.suppress(*UNREADABLE):
            if _is_run(path.parent.name) and read_object(path).get("status") == "failed":
                found.append(path.parent.name)
    return found


def _is_run(name: str) -> bool:
    """Returns whether a folder may be one of a run. ML Metadata cannot look up a name that is not UTF-8."""
    return name != LATEST and name.isascii()


def _has_summary(folder: Path) -> bool:
    try:
        read_object(folder / SUMMARY_FILE)
    except UNREADABLE:
        return False
    return True
