"""Waiting for the other processes of a cluster: until all are up, and until the chief has finished."""

import math
import socket
import time
from collections.abc import Iterable

import tensorflow as tf

from common.progress import report
from models.distributed.task import Task

POLL_SECONDS = 0.5
REPORT_SECONDS = 30.0
TIMEOUT_SECONDS = 900.0  # for the machines of a cluster to come up


class PortTakenError(ValueError):
    """Another process uses the port that this process has to listen on."""


def wait_for_peers(task: Task, seconds: float = TIMEOUT_SECONDS) -> None:
    """Waits until all other processes of the cluster can be reached.

    TensorFlow waits too, but without a timeout or a message. Meanwhile this process listens on its own port, which it
    frees for TensorFlow on return.

    Raises:
        PortTakenError: Another process uses its port.
        TimeoutError: A peer did not come up.
    """
    with listen_on_task_port(task):
        wait_until_reachable(task.peers, seconds)


def wait_until_reachable(tasks: Iterable[Task], seconds: float = TIMEOUT_SECONDS) -> None:
    """Waits until other processes of the cluster can be reached.

    Raises:
        TimeoutError: One of them did not come up.
    """
    missing = {each.name: each.address for each in tasks}
    start = reported = time.monotonic()
    while missing := {name: address for name, address in missing.items() if not _is_reachable(address)}:
        now, names = time.monotonic(), ", ".join(f"{name} at {address}" for name, address in missing.items())
        if now - start > seconds:
            raise TimeoutError(
                f"TF_CONFIG: cannot reach {names} after {seconds:.0f} s; expected all tasks of the cluster to be up"
            )
        if now - reported > REPORT_SECONDS:
            reported = now
            report(f"waiting for {names}")
        time.sleep(POLL_SECONDS)


def listen_on_task_port(task: Task) -> socket.socket:
    """Opens a socket on the task's own port, on all interfaces as TensorFlow does.

    Raises:
        PortTakenError: The port is taken, or the address has none.
    """
    try:
        return listen(int(task.address.rpartition(":")[2]))
    except (OSError, OverflowError, ValueError) as error:
        raise PortTakenError(
            f"{task.name}: cannot listen on the port of {task.address} ({error}); expected a free port "
            "(training.first_port, or TF_CONFIG)"
        ) from error


def listen(port: int) -> socket.socket:
    """Opens a socket on a port of all interfaces, as TensorFlow's servers do. Port 0 picks a free one.

    Raises:
        OSError: The port is taken.
    """
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("", port))
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener


def wait_for_chief(path: str, seconds: float = math.inf) -> None:
    """Waits until the chief has written a file.

    Vertex AI expects the model from every process, and stops all of them once one has failed.

    Raises:
        TimeoutError: The file did not appear.
    """
    end = time.monotonic() + seconds
    while not tf.io.gfile.exists(path):
        if time.monotonic() > end:
            raise TimeoutError(f"found no {path} after {seconds:.0f} s; expected the chief to write it")
        time.sleep(POLL_SECONDS)


def _is_reachable(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except (OSError, ValueError):
        return False
    return True
