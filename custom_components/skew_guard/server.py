"""Runs the probe within limits of time and memory."""

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil

from custom_components.skew_guard.report import Skew, SkewError

ROOT = Path(__file__).resolve().parent.parent.parent
POLL_SECONDS = 0.05


def check_server(model_dir: Path, most_seconds: float, most_megabytes: float) -> dict[str, float]:
    """Loads a model in a fresh process, as a server would, and answers its warm-up requests there.

    Args:
        model_dir: The SavedModel, with warm-up requests.
        most_seconds: Limit of wall time, the start of Python included.
        most_megabytes: Limit of resident memory.

    Returns:
        ``load_seconds``, ``first_answer_seconds``, ``answers`` and ``peak_megabytes``.

    Raises:
        SkewError: It did not load or answer, or passed a limit.
    """
    command = [sys.executable, "-m", "custom_components.skew_guard.probe", str(model_dir)]
    start, peak = time.monotonic(), 0.0
    with subprocess.Popen(  # noqa: S603 - our own module
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None:
            peak = max(peak, _megabytes(process.pid))
            if peak > most_megabytes or time.monotonic() - start > most_seconds:
                process.kill()
                break
            time.sleep(POLL_SECONDS)
        output, errors = process.communicate()
    if peak > most_megabytes:
        raise SkewError(_refused(f"at most {most_megabytes:.0f} MB", f"{peak:.0f} MB"))
    if process.returncode < 0:
        raise SkewError(_refused(f"an answer within {most_seconds:g} s", "none"))
    if process.returncode:
        raise SkewError(_refused("a model that loads and answers", (errors.strip().splitlines() or ["nothing"])[-1]))
    measured: dict[str, float] = json.loads(output.splitlines()[-1])
    return {**measured, "peak_megabytes": peak}


def _refused(expected: str, found: str) -> Skew:
    return Skew("server", "a fresh process", expected=expected, found=found)


def _megabytes(pid: int) -> float:
    try:
        return float(psutil.Process(pid).memory_info().rss / 1e6)
    except psutil.NoSuchProcess:
        return 0.0
