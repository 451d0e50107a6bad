"""What processes that train together know of each other: whether all are there, and whether the chief is done."""

import math
import socket
import time
from collections.abc import Iterable

import tensorflow as tf

from common.progress import report
from models.distributed.task import Task

POLL_SECONDS = 0.5
REPORT_SECONDS = 30.0
MEET_SECONDS = 900.0  # in which the machines of a cluster have to come up


class PortTakenError(ValueError):
    """The port that a process has to listen on is another's."""


def meet(task: Task, seconds: float = MEET_SECONDS) -> None:
    """Waits until all other processes of the cluster can be reached, as TensorFlow does: for ever and in silence.

    Each listens on its own port meanwhile, and hands that over to TensorFlow behind this call.

    Raises:
        PortTakenError: Its own port is taken.
        TimeoutError: Others did not come.
    """
    with listening(task):
        reach(task.peers, seconds)


def reach(tasks: Iterable[Task], seconds: float = MEET_SECONDS) -> None:
    """Waits until other processes of the cluster can be reached.

    Raises:
        TimeoutError: They did not come.
    """
    missing = {each.name: each.address for each in tasks}
    start = said = time.monotonic()
    while missing := {name: address for name, address in missing.items() if not _is_there(address)}:
        now, texts = time.monotonic(), ", ".join(f"{name} at {address}" for name, address in missing.items())
        if now - start > seconds:
            raise TimeoutError(f"TF_CONFIG: found no {texts} in {seconds:.0f} s; expected all of the cluster")
        if now - said > REPORT_SECONDS:
            said = now
            report(f"waits for {texts}")
        time.sleep(POLL_SECONDS)


def listening(task: Task) -> socket.socket:
    """A socket on the task's own port, on all interfaces as TensorFlow's.

    Raises:
        PortTakenError: It is taken.
    """
    try:
        return listen(int(task.address.rpartition(":")[2]))
    except (OSError, OverflowError, ValueError) as error:
        text = f"{task.name}: the port of {task.address} cannot be had ({error}); expected a free one"
        raise PortTakenError(f"{text} (training.first_port, or TF_CONFIG)") from error


def listen(port: int) -> socket.socket:
    """A socket on a port of all interfaces, as TensorFlow's servers have them; 0 takes a free port.

    Raises:
        OSError: It is taken.
    """
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("", port))
        listening.listen()
    except BaseException:
        listening.close()
        raise
    return listening


def wait_for_chief(path: str, seconds: float = math.inf) -> None:
    """Waits until the chief has written a file.

    Vertex AI looks for the model in every process, and ends all of them once one has failed.

    Raises:
        TimeoutError: It does not come.
    """
    end = time.monotonic() + seconds
    while not tf.io.gfile.exists(path):
        if time.monotonic() > end:
            raise TimeoutError(f"found no {path} after {seconds:.0f} s; expected the chief to write it")
        time.sleep(POLL_SECONDS)


def _is_there(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except (OSError, ValueError):
        return False
    return True
