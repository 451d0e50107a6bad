"""The folder of one run, the lock on its output directory, and where its noise goes."""

import contextlib
import datetime
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from artifacts.summary import RunSummary, Status
from pipeline.config.errors import ConfigError

LOG, SUMMARY, LATEST, TRAINING_LOGS = "log", "summary.json", "latest", "tensorboard"
COMPLETE: tuple[Status, ...] = ("pushed", "not_blessed", "partial")


@contextlib.contextmanager
def locked(output: Path) -> Iterator[None]:
    """Holds the output directory, making it if need be, for as long as the process lives or the block lasts.

    Raises:
        ConfigError: It cannot be made or written, or another run holds it.
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
                f"{output}: another run is using it; wait for that one, or give another folder with --output"
            ) from None
        yield


class RunFolder:
    """``runs/<run id>`` under an output directory.

    Attributes:
        run_id: Time of the start, in UTC; sorts by time.
        path: The folder.
    """

    def __init__(self, output: Path) -> None:
        now = datetime.datetime.now(datetime.UTC)
        # To the microsecond, since runs of several output folders may be kept in one database.
        self.run_id = now.strftime("%Y%m%dT%H%M%S.%fZ")
        self.path = output / "runs" / self.run_id
        self.path.mkdir(parents=True)
        latest = output / "runs" / LATEST
        link = latest.with_name(f".{LATEST}")
        link.unlink(missing_ok=True)
        link.symlink_to(self.run_id)
        link.replace(latest)

    @property
    def log(self) -> Path:
        """Everything that TensorFlow, Beam and TFX print."""
        return self.path / LOG

    def write_summary(self, summary: RunSummary) -> None:
        """Writes ``summary.json``; a reader sees all of it or none."""
        partial = self.path / f".{SUMMARY}"
        partial.write_text(summary.to_json() + "\n", encoding="utf-8")
        partial.replace(self.path / SUMMARY)

    @property
    def training_logs(self) -> Path:
        """TensorBoard's."""
        return self.path / TRAINING_LOGS

    def link_training_logs(self, logs: Path) -> None:
        """Puts a link to those of the earlier run that trained the model, where this one did not."""
        if not self.training_logs.exists() and logs.exists():
            self.training_logs.symlink_to(os.path.relpath(logs, self.path.resolve()))

    def capture(self) -> contextlib.AbstractContextManager[tuple[IO[str], IO[str]]]:
        """Sends what is printed meanwhile to the log; see :func:`captured`."""
        return captured(self.log)


@contextlib.contextmanager
def captured(log: Path) -> Iterator[tuple[IO[str], IO[str]]]:
    """Sends standard output and error, of C++ code and children too, to a file.

    Yields:
        The terminal's own standard output and error, for what the user is to see.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with (
        log.open("ab") as file,
        os.fdopen(os.dup(kept[0]), "w", buffering=1, encoding="utf-8") as out,
        os.fdopen(os.dup(kept[1]), "w", buffering=1, encoding="utf-8") as err,
    ):
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield out, err
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, original in enumerate(kept, start=1):
                os.dup2(original, number)
                os.close(original)


def last_complete_run(output: Path) -> str | None:
    """Id of the newest run that no node failed in, or ``None``."""
    for path in sorted((output / "runs").glob(f"*/{SUMMARY}"), reverse=True):
        if path.parent.name != LATEST and json.loads(path.read_text(encoding="utf-8"))["status"] in COMPLETE:
            return path.parent.name
    return None


def interrupted_runs(output: Path) -> list[str]:
    """Ids of the runs that were killed before they could write a summary, oldest first."""
    runs = output / "runs"
    if not runs.is_dir():
        return []
    folders = [path for path in runs.iterdir() if path.is_dir() and not path.is_symlink()]
    return sorted(path.name for path in folders if not (path / SUMMARY).exists())
