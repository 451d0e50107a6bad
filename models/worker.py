"""What each of several processes runs: ``python -m models.worker --failure FILE train|serve|tune JOB``."""

import argparse
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path

from absl import logging

from models import progress
from models.job import Job
from models.strategy import serve, this_task
from models.trainer import train
from models.tuner import run_trials

LOOK_SECONDS = 1.0


def main() -> int:
    """Does its part of a job; what goes wrong is written to a file, in one line, for the parent to tell."""
    parser = argparse.ArgumentParser(prog="python -m models.worker", description=__doc__)
    parser.add_argument("--failure", type=Path, required=True, help="where to write why it failed")
    parser.add_argument("work", choices=("train", "serve", "tune"))
    parser.add_argument("job", type=Path, help="a models.job.Job, as JSON")
    options = parser.parse_args()
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    try:
        with progress.listening(_tell):
            _work(options.work, options.job)
    except Exception as error:
        traceback.print_exc()
        options.failure.write_text(json.dumps([type(error).__name__, str(error)]), encoding="utf-8")
        return 1
    return 0


def _work(work: str, file: Path) -> None:
    logging.set_verbosity(logging.INFO)
    logging.use_absl_handler()
    match work:
        case "serve":
            serve(this_task())
        case "train":
            train(Job.read(file), this_task())
        case _:
            run_trials(Job.read(file))


def _tell(_source: str, line: str) -> None:
    sys.stdout.write(f"{progress.MARK}{line}\n")
    sys.stdout.flush()


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # TensorFlow's server of a cluster has no orderly end
