"""Child processes that work for a component: what they say is passed on, and none outlives its parent."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import tensorflow as tf
from absl import logging

from common import progress
from common.project import ROOT
from models.job import Job

JOB_FILE = "job.json"
POLL_SECONDS = 0.1
END_SECONDS = 5.0  # in which the last lines of a child that was ended are read
GPUS = "CUDA_VISIBLE_DEVICES"
NO_GPUS = {GPUS: "-1"}
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
            [
                sys.executable,
                "-m",
                "models.worker",
                "--parent",
                str(os.getpid()),
                "--failure",
                str(failure),
                *arguments,
            ],
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

    @property
    def end_text(self) -> str:
        """How it ended, for a person."""
        code = self.code or 0
        if code == -signal.SIGKILL:
            return "was killed (SIGKILL; look whether the machine runs out of memory, or take fewer with --workers)"
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"failed: {self.failure[1]}" if self.failure else f"ended with code {code}; the log says why"

    def end(self) -> None:
        """Ends it at once, if it has not ended: what it writes is whole at any time."""
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
        """Starts one that does ``work``, next to :data:`JOB_FILE`; see :mod:`models.worker`, and :class:`Child`."""
        self._count += 1
        arguments = [work, str(self._folder / JOB_FILE)]
        child = Child(name, arguments, environment, self._folder / f"failure-{self._count}.json")
        self._stack.callback(child.end)
        return child


class Losses:
    """Counts the children that were lost since the work last came further."""

    def __init__(self, reached: Callable[[], object]) -> None:
        """Counts none.

        Args:
            reached: How far the work is; it came further when this changes.
        """
        self._reached = reached
        self._before = reached()
        self._count = 0

    def add(self, child: Child) -> None:
        """Counts one.

        Raises:
            WorkerError: It is one too many.
        """
        reached = self._reached()
        self._count = self._count + 1 if reached == self._before else 1
        self._before = reached
        if self._count > MOST_LOSSES:
            raise WorkerError(
                f"{child.name} {child.end_text}, and {MOST_LOSSES} before it, with nothing gained between"
            )


def share_of_gpus(place: int, count: int) -> dict[str, str]:
    """The environment of one of several processes that share this machine's GPUs, if it has any.

    Raises:
        ValueError: There are fewer of them than processes.
    """
    found = len(tf.config.list_physical_devices("GPU"))
    if not found:
        return {}
    if found < count:
        raise ValueError(
            f"found {found} GPUs for {count} workers; expected one for each: lower --workers, or set {GPUS}=-1 for none"
        )
    names = os.environ[GPUS].split(",") if os.environ.get(GPUS) else list(map(str, range(found)))
    return {GPUS: ",".join(names[place::count])}


def poll() -> Iterator[None]:
    """Comes back a few times a second, for ever."""
    while True:
        yield
        time.sleep(POLL_SECONDS)


def wait_for(children: Sequence[Child], seconds: float) -> None:
    """Waits until all have ended, or the time is up."""
    end = time.monotonic() + seconds
    for _ in poll():
        if all(child.code is not None for child in children) or time.monotonic() > end:
            return
