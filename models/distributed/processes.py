"""Worker processes of a component. Their output is forwarded, and none of them outlives its parent."""

import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import tensorflow as tf
from absl import logging

from common import progress
from common.child_processes import child_environment, exit_description, python_module
from models.job import Job

JOB_FILE = "job.json"
POLL_SECONDS = 0.1
READ_SECONDS = 5.0  # to read the last lines of a worker that was killed
VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"
NO_GPUS = {VISIBLE_GPUS: "-1"}
MAX_LOSSES = 3  # in a row, without progress


class WorkerError(RuntimeError):
    """A worker failed for a reason that a restart cannot fix."""


class WorkerProcess:
    """A process that runs ``python -m models.worker``.

    Attributes:
        name: Name in progress lines and errors.
    """

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str], failure: Path) -> None:
        """Starts the process.

        Args:
            name: Name in progress lines and errors.
            arguments: Arguments of the module.
            environment: Environment variables, in addition to those of this process.
            failure: File to which the worker writes why it failed.
        """
        self.name = name
        self._failure = failure
        options = ["--parent", str(os.getpid()), "--failure", str(failure)]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            python_module("models.worker", *options, *arguments),
            env=child_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C goes to the parent only, which then stops its workers
        )
        self._reader = threading.Thread(target=self._forward_output, name=name, daemon=True)
        self._reader.start()

    @property
    def exit_code(self) -> int | None:
        """The exit code: negative for a signal, ``None`` while the process runs."""
        return self._process.poll()

    @property
    def failure(self) -> tuple[str, str] | None:
        """Class name and message of the exception that stopped the process, if there was one."""
        if self.exit_code in (None, 0) or not self._failure.exists():
            return None
        kind, text = json.loads(self._failure.read_text(encoding="utf-8"))
        return kind, text

    @property
    def exit_description(self) -> str:
        """How the process ended, for progress lines and errors."""
        code = self.exit_code or 0
        if code < 0:
            return exit_description(code, "lower --workers")
        return f"failed: {self.failure[1]}" if self.failure else f"exited with code {code}; see the log"

    def kill(self) -> None:
        """Kills the process if it still runs. That is safe at any time, since workers write files atomically."""
        self._process.kill()
        self._process.wait()
        self._reader.join(READ_SECONDS)

    def _forward_output(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            text = line.rstrip("\n")
            if text.startswith(progress.LINE_PREFIX):
                progress.report(text.removeprefix(progress.LINE_PREFIX), self.name)
            else:
                logging.info("[%s] %s", self.name, text)


class WorkerGroup:
    """Context manager of the workers of one job. It kills them all on exit."""

    def __init__(self, job: Job) -> None:
        """Creates an empty group.

        Args:
            job: The job that the workers share.
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

    def start(self, name: str, command: str, environment: Mapping[str, str]) -> WorkerProcess:
        """Starts a worker.

        Args:
            name: Name in progress lines and errors.
            command: Command of :mod:`models.worker`: ``train`` or ``tune``.
            environment: Environment variables, in addition to those of this process.
        """
        self._count += 1
        arguments = [command, str(self._folder / JOB_FILE)]
        process = WorkerProcess(name, arguments, environment, self._folder / f"failure-{self._count}.json")
        self._stack.callback(process.kill)
        return process


class LossLimit:
    """Limits how many workers may be lost in a row without progress."""

    def __init__(self, get_progress: Callable[[], object]) -> None:
        """Creates a limit without losses so far.

        Args:
            get_progress: Returns a value that changes whenever the job has made progress.
        """
        self._get_progress = get_progress
        self._last_progress = get_progress()
        self._count = 0

    def add(self, process: WorkerProcess) -> None:
        """Counts a lost worker.

        Raises:
            WorkerError: Too many were lost without progress.
        """
        reached = self._get_progress()
        self._count = self._count + 1 if reached == self._last_progress else 1
        self._last_progress = reached
        if self._count > MAX_LOSSES:
            raise WorkerError(
                f"{process.name} {process.exit_description}; {self._count} workers were lost in a row without "
                f"progress, expected at most {MAX_LOSSES}"
            )


def gpu_environment(index: int, count: int) -> dict[str, str]:
    """Environment variables that assign this machine's GPUs to one of several processes. Empty without GPUs.

    Args:
        index: Index of the process.
        count: Number of processes.

    Raises:
        ValueError: There are fewer GPUs than processes.
    """
    found = len(tf.config.list_physical_devices("GPU"))
    if not found:
        return {}
    if found < count:
        raise ValueError(
            f"found {found} GPUs for {count} workers; expected at least one per worker: lower --workers, or set "
            f"{VISIBLE_GPUS}=-1 to use none"
        )
    visible = os.environ.get(VISIBLE_GPUS)
    names = visible.split(",") if visible else list(map(str, range(found)))
    return {VISIBLE_GPUS: ",".join(names[index::count])}


def poll() -> Iterator[None]:
    """Yields several times a second, indefinitely."""
    while True:
        yield
        time.sleep(POLL_SECONDS)


def wait_for_exit(processes: Sequence[WorkerProcess], seconds: float) -> None:
    """Waits until all processes have exited, or the time is up."""
    end = time.monotonic() + seconds
    for _ in poll():
        if all(process.exit_code is not None for process in processes) or time.monotonic() > end:
            return
