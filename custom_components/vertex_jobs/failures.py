"""Files in which replicas record why they failed, for the step that waits for the job."""

import json
import os
import time

import tensorflow as tf

from common.error_reason import reason
from models.distributed.task import Task

FAILURES = "failed-{}.json"


def write_failure(folder: str, task: Task, error: BaseException) -> None:
    """Records which task failed, when and why."""
    record = {"name": task.name, "kind": type(error).__name__, "text": reason(error), "time": time.time()}
    tf.io.gfile.makedirs(folder)
    with tf.io.gfile.GFile(os.path.join(folder, FAILURES.format(task.name.replace(" ", "-"))), "w") as file:
        file.write(json.dumps(record))
