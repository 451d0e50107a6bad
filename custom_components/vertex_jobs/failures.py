"""Why a replica failed, as a file that the step which waits for the job reads."""

import json
import os
import time

import tensorflow as tf

from common.error_reason import reason
from models.distributed.task import Task

FAILURES = "failed-{}.json"


def write_failure(folder: str, task: Task, error: BaseException) -> None:
    """Writes who failed, when, and for what."""
    record = {"name": task.name, "kind": type(error).__name__, "text": reason(error), "time": time.time()}
    tf.io.gfile.makedirs(folder)
    with tf.io.gfile.GFile(os.path.join(folder, FAILURES.format(task.name.replace(" ", "-"))), "w") as file:
        file.write(json.dumps(record))
