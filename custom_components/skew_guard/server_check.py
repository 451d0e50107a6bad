"""Loads a model in a separate process, within limits of time and memory."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

import psutil

from artifacts.nodes.skew import Skew
from common.child_processes import child_environment, exit_description, python_module
from custom_components.skew_guard.report import SkewError

MODULE = "custom_components.skew_guard.server_process"
MODEL_FAILED = 3  # exit code of the process if the model is at fault. Any other says nothing about the model.
POLL_SECONDS = 0.05
# Keeps TensorFlow from importing Keras 3, which takes over a second and is not part of a server.
WITHOUT_KERAS = {"TF_USE_LEGACY_KERAS": "1"}


class ServerCheckError(RuntimeError):
    """The check could not be completed, for a reason that says nothing about the model."""


def check_server(model_dir: Path, max_seconds: float, max_megabytes: float) -> dict[str, float]:
    """Loads a model in a new process, as a server would, and answers its warm-up requests there.

    Args:
        model_dir: The SavedModel, with warm-up requests.
        max_seconds: Limit of wall time, including the start of Python. A slow machine exceeds it too.
        max_megabytes: Limit of resident memory.

    Returns:
        ``load_seconds``, ``first_answer_seconds``, ``answers`` and ``peak_megabytes``.

    Raises:
        SkewError: The model did not load, did not answer, or needed too much memory.
        ServerCheckError: The process was killed, ran out of time, or failed for a reason outside of the model.
    """
    command = python_module(MODULE, str(model_dir), str(os.getpid()))
    memory_limit = f"at most {max_megabytes:.0f} MB"
    # Files, since a process blocks when it writes to a pipe that nobody reads.
    with _text_file() as output, _text_file() as errors:
        end, peak = time.monotonic() + max_seconds, 0.0
        with subprocess.Popen(  # noqa: S603 - our own module
            command, env=child_environment(WITHOUT_KERAS), stdin=subprocess.DEVNULL, stdout=output, stderr=errors
        ) as process:
            try:
                while process.poll() is None and time.monotonic() < end and peak <= max_megabytes:
                    time.sleep(POLL_SECONDS)
                    peak = max(peak, _megabytes(process.pid))
                in_time = process.poll() is not None
            finally:
                process.kill()
        last_lines = [_last_line(file) for file in (output, errors)]
    if peak > max_megabytes:
        raise SkewError(_skew(memory_limit, f"{peak:.0f} MB"))
    if not in_time:
        raise ServerCheckError(
            f"a new process did not load the model and answer within {max_seconds:g} s; run again when the machine is "
            "less busy, or raise skew_guard.max_seconds"
        )
    if process.returncode == MODEL_FAILED:
        raise SkewError(_skew("a model that loads and answers", last_lines[1] or "no reason"))
    if process.returncode:
        details = f": {last_lines[1]}" if last_lines[1] and process.returncode > 0 else ""
        raise ServerCheckError(f"the process that loads the model {exit_description(process.returncode)}{details}")
    measurements: dict[str, float] = json.loads(last_lines[0])
    if measurements["peak_megabytes"] > max_megabytes:
        raise SkewError(_skew(memory_limit, f"{measurements['peak_megabytes']:.0f} MB"))
    return measurements


def _text_file() -> IO[str]:
    # Messages of C++ code may be cut within a character.
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace")


def _last_line(file: IO[str]) -> str:
    file.seek(0)
    return (file.read().strip().splitlines() or [""])[-1]


def _skew(expected: str, found: str) -> Skew:
    return Skew("server", "a new process", expected=expected, found=found)


def _megabytes(pid: int) -> float:
    try:
        return float(psutil.Process(pid).memory_info().rss / 1e6)
    except psutil.NoSuchProcess:
        return 0.0
