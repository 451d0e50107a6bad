"""Child processes that work for a component: what they say is passed on, and none outlives its parent."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from absl import logging

from models import progress
from models.job import Job

ROOT = Path(__file__).resolve().parent.parent
JOB_FILE = "job.json"
LOOK_SECONDS = 0.1
END_SECONDS = 5.0  # in which a child that is asked to may end
MOST_LOSSES = 3  # without anything gained between


class WorkerError(RuntimeError):
    """A worker failed for a reason that trying again does not mend."""


class Child:
    """``python -m models.worker`` with arguments.

    Attributes:
        name: What a person calls it.
    """

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str], failure: Path) -> None:
        """Starts it.

        Args:
            name: What a person calls it.
            arguments: Of the module.
            environment: Variables beside this process' own.
            failure: Where it says why it failed.
        """
        self.name = name
        self._failure = failure
        paths = dict.fromkeys([str(ROOT), *filter(None, sys.path)])  # also of a network that is somewhere else
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "models.worker", "--failure", str(failure), *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is the parent's, which ends its children in good order
        )
        self._reader = threading.Thread(target=self._pass_on, name=name, daemon=True)
        self._reader.start()

    @property
    def code(self) -> int | None:
        """What it ended with, a signal's number below 0; ``None`` while it runs."""
        return self._process.poll()

    @property
    def failure(self) -> tuple[str, str] | None:
        """Name of the exception that ended it, and its text."""
        if self.code in (None, 0) or not self._failure.exists():
            return None
        kind, text = json.loads(self._failure.read_text(encoding="utf-8"))
        return kind, text

    def end(self) -> None:
        """Ends it, if it has not ended."""
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(END_SECONDS)

    def _pass_on(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            text = line.rstrip("\n")
            if text.startswith(progress.MARK):
                progress.report(text.removeprefix(progress.MARK), self.name)
            else:
                logging.info("[%s] %s", self.name, text)


class Children:
    """The children of one block, which work on the same job; all are ended with it."""

    def __init__(self, job: Job) -> None:
        """Starts none.

        Args:
            job: What they work on.
        """
        self._job = job
        self._stack = contextlib.ExitStack()
        self._count = 0

    def __enter__(self) -> Self:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="workers")))
        self._job.write(self._folder / JOB_FILE)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, name: str, work: str, environment: Mapping[str, str]) -> Child:
        """Starts one that does ``work``; see :mod:`models.worker`, and :class:`Child` for the rest."""
        self._count += 1
        arguments = [work, str(self._folder / JOB_FILE)]
        child = Child(name, arguments, environment, self._folder / f"failure-{self._count}.json")
        self._stack.callback(child.end)
        return child


class Losses:
    """Counts the children that were killed since the work last came further."""

    def __init__(self, reached: Callable[[], object]) -> None:
        """Counts none.

        Args:
            reached: How far the work is; it came further when this changes.
        """
        self._reached = reached
        self._before = reached()
        self._count = 0

    def add(self, name: str) -> None:
        """Counts one.

        Raises:
            WorkerError: It is one too many.
        """
        reached = self._reached()
        self._count = self._count + 1 if reached == self._before else 1
        self._before = reached
        if self._count > MOST_LOSSES:
            raise WorkerError(
                f"{name} was killed, the {self._count}th since anything was gained; look whether the machine runs out "
                "of memory, or take fewer with --workers"
            )


def looks() -> Iterator[None]:
    """Comes back a few times a second, for ever."""
    while True:
        yield
        time.sleep(LOOK_SECONDS)


def wait_for(children: Sequence[Child], seconds: float) -> None:
    """Waits until all have ended, or the time is up."""
    end = time.monotonic() + seconds
    for _ in looks():
        if all(child.code is not None for child in children) or time.monotonic() > end:
            return
