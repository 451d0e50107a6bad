"""What each of several processes runs: ``python -m models.worker --parent PID --failure FILE train|tune JOB``."""

import argparse
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path

from common.deferred_imports import deferring
from common.error_reason import reason

POLL_SECONDS = 1.0


def main() -> int:
    """Does its part of a job; what goes wrong is written to a file, in one line, for the parent to tell."""
    parser = argparse.ArgumentParser(prog="python -m models.worker", description=__doc__)
    parser.add_argument("--parent", type=int, required=True, help="id of the process with which this one ends")
    parser.add_argument("--failure", type=Path, required=True, help="where to write why it failed")
    parser.add_argument("work", choices=("train", "tune"))
    parser.add_argument("job", type=Path, help="a models.job.Job, as JSON")
    options = parser.parse_args()
    threading.Thread(target=_end_with, args=(options.parent,), daemon=True).start()
    try:
        _work(options.work, options.job)
    except Exception as error:
        traceback.print_exc()
        options.failure.write_text(json.dumps([type(error).__name__, reason(error)]), encoding="utf-8")
        return 1
    return 0


def _work(work: str, file: Path) -> None:
    # Not before the parent is watched: these take seconds.
    with deferring():
        from absl import logging  # noqa: PLC0415

        from common import progress  # noqa: PLC0415
        from models.distributed.task import this_task  # noqa: PLC0415
        from models.job import Job  # noqa: PLC0415
        from models.training.trainer import train  # noqa: PLC0415
        from models.tuning.tuner import run_trials  # noqa: PLC0415

    def tell(_source: str, line: str) -> None:
        sys.stdout.write(f"{progress.MARK}{line}\n")
        sys.stdout.flush()

    logging.set_verbosity(logging.INFO)
    logging.use_absl_handler()
    with progress.listening(tell):
        if work == "train":
            train(Job.read(file), this_task())
        else:
            run_trials(Job.read(file), str(file.with_name(f"notes-{os.getpid()}")))


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # TensorFlow's server of a cluster has no orderly end
