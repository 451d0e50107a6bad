"""Entry point of worker processes: ``python -m models.worker --parent PID --failure FILE train|tune JOB``."""

import argparse
import json
import os
import sys
import traceback
from pathlib import Path

from common.child_processes import exit_with_parent
from common.deferred_imports import defer_imports
from common.error_reason import reason


def main() -> int:
    """Runs one part of a job. An error is written to a file, in one line, for the parent to show."""
    parser = argparse.ArgumentParser(prog="python -m models.worker", description=__doc__)
    parser.add_argument(
        "--parent", type=int, required=True, help="process ID of the parent; this process exits with it"
    )
    parser.add_argument("--failure", type=Path, required=True, help="file to write the error to")
    parser.add_argument("command", choices=("train", "tune"), help="train as one of several, or run the Tuner's trials")
    parser.add_argument("job", type=Path, help="JSON file of a models.job.Job")
    options = parser.parse_args()
    exit_with_parent(options.parent)
    try:
        _run(options.command, options.job)
    except Exception as error:
        traceback.print_exc()
        options.failure.write_text(json.dumps([type(error).__name__, reason(error)]), encoding="utf-8")
        return 1
    return 0


def _run(command: str, file: Path) -> None:
    # Imported once the parent is watched, since this takes seconds.
    with defer_imports():
        from absl import logging  # noqa: PLC0415

        from common import progress  # noqa: PLC0415
        from models.distributed.task import this_task  # noqa: PLC0415
        from models.job import Job  # noqa: PLC0415
        from models.training.trainer import train  # noqa: PLC0415
        from models.tuning.tuner import run_trials  # noqa: PLC0415

    def print_line(_source: str, line: str) -> None:
        sys.stdout.write(f"{progress.LINE_PREFIX}{line}\n")
        sys.stdout.flush()

    logging.set_verbosity(logging.INFO)
    logging.use_absl_handler()
    with progress.listening(print_line):
        if command == "train":
            train(Job.read(file), this_task())
        else:
            run_trials(Job.read(file), str(file.with_name(f"notes-{os.getpid()}")))


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # TensorFlow's cluster server does not shut down cleanly
