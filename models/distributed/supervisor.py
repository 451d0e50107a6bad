"""Trains with several processes on this machine, and replaces those that are killed."""

import contextlib
import functools
import json
from collections.abc import Sequence

import tensorflow as tf

from artifacts.names import STATE_FILE
from common import progress
from models.distributed.peers import PortTakenError, listen
from models.distributed.processes import (
    NO_GPUS,
    LossLimit,
    WorkerError,
    WorkerGroup,
    WorkerProcess,
    gpu_environment,
    poll,
    wait_for_exit,
)
from models.distributed.task import CHIEF, PARAMETER_SERVER, TF_CONFIG, WORKER, Task
from models.job import Job
from models.training_settings import Training

LOCALHOST = "127.0.0.1"
GRACE_SECONDS = 10.0  # for processes whose peer failed to report their own error
# What TensorFlow raises in a process that lost a peer.
PEER_LOST = ("UnavailableError", "AbortedError", "CancelledError", "InternalError", "DeadlineExceededError")


def run_cluster(job: Job) -> None:
    """Trains with as many processes as the settings ask for, and returns once the chief has exported the model.

    Each process has its own ``TF_CONFIG``, as on Vertex AI. If one is killed, all restart from the last checkpoint,
    since none can take a step without the others. A cluster with parameter servers only replaces the lost worker.
    The processes talk over the loopback interface, but TensorFlow's servers listen on all interfaces, without
    authentication.

    Raises:
        ValueError: A port is taken, or there are fewer GPUs than workers.
        WorkerError: A worker failed, or workers are killed repeatedly without progress.
    """
    limit = LossLimit(functools.partial(_checkpoint_time, job))
    while lost := _run(job, limit):
        limit.add(lost)
        progress.report("was lost; restarting all processes from the last checkpoint", lost.name)


def cluster_tasks(training: Training, ports: Sequence[int]) -> list[Task]:
    """The tasks of a training job, chief first. Each task lists the complete cluster."""
    addresses = [f"{LOCALHOST}:{port}" for port in ports]
    cluster = {WORKER: addresses}
    if training.strategy == "parameter_server":
        first_worker = 1 + training.parameter_servers
        cluster = {
            CHIEF: addresses[:1],
            PARAMETER_SERVER: addresses[1:first_worker],
            WORKER: addresses[first_worker:],
        }
    return [Task(cluster, kind, index) for kind, each in cluster.items() for index in range(len(each))]


def free_ports(count: int, first: int) -> list[int]:
    """Finds ports to listen on.

    Args:
        count: Number of ports.
        first: First of the consecutive ports. 0 picks any free ports.

    Raises:
        ValueError: A port is taken.
    """
    with contextlib.ExitStack() as stack:
        found = []
        for place in range(count):
            number = first + place if first else 0
            try:
                listener = stack.enter_context(listen(number))
            except OSError as error:
                raise ValueError(
                    f"training.first_port: found port {number}: {error.strerror}; expected {count} free ports from "
                    "there on, or 0 for any"
                ) from error
            found.append(listener.getsockname()[1])
        return found


def _run(job: Job, limit: LossLimit) -> WorkerProcess | None:
    """Runs the cluster until training has finished, or until a process is lost that the others need.

    Returns:
        The lost process, or ``None`` if training has finished.

    Raises:
        WorkerError: A process failed by itself.
    """
    training = job.config.training
    coordinated = training.strategy == "parameter_server"
    count = training.workers + (1 + training.parameter_servers if coordinated else 0)
    tasks = cluster_tasks(training, free_ports(count, training.first_port))
    with WorkerGroup(job) as group:
        if coordinated:
            return _run_coordinated(group, tasks, limit)
        return _run_synchronous([_start(group, task) for task in tasks])


def _run_synchronous(processes: Sequence[WorkerProcess]) -> WorkerProcess | None:
    for _ in poll():
        if all(process.exit_code == 0 for process in processes):
            return None
        if any(process.exit_code for process in processes):
            if not any((process.exit_code or 0) < 0 for process in processes):
                wait_for_exit(processes, GRACE_SECONDS)
            _raise_failure(processes)
            failed = [process for process in processes if process.exit_code]
            return min(failed, key=lambda process: process.exit_code or 0)
    raise AssertionError("unreachable")


def _run_coordinated(group: WorkerGroup, tasks: Sequence[Task], limit: LossLimit) -> WorkerProcess | None:
    """Runs a cluster whose chief hands out the steps. It survives the loss of a worker, not of a parameter server."""
    running = {task.name: _start(group, task) for task in tasks}
    for _ in poll():
        if running[CHIEF].exit_code == 0:
            return None
        for task in reversed(tasks):  # the chief comes last: it fails when a parameter server is lost
            process = running[task.name]
            if not process.exit_code:  # the others exit on their own once the chief has exported
                continue
            _raise_failure([process])
            if task.type != WORKER:
                return process
            limit.add(process)
            progress.report("was lost; starting a replacement", task.name)
            running[task.name] = _start(group, task)
    raise AssertionError("unreachable")


def _raise_failure(processes: Sequence[WorkerProcess]) -> None:
    """Raises the error that stopped a process, unless one was killed, which makes the others fail too."""
    if any((process.exit_code or 0) < 0 for process in processes):
        return
    for process in processes:
        kind, text = process.failure or ("", "")
        if kind and kind not in (*PEER_LOST, PortTakenError.__name__):
            raise WorkerError(f"{process.name}: {text}")


def _start(group: WorkerGroup, task: Task) -> WorkerProcess:
    config = {"cluster": task.cluster, "task": {"type": task.type, "index": task.index}}
    gpus = gpu_environment(task.index, task.num_trainers) if task.type == WORKER else NO_GPUS
    return group.start(task.name, "train", {TF_CONFIG: json.dumps(config), **gpus})


def _checkpoint_time(job: Job) -> int:
    path = job.in_run_dir(STATE_FILE)
    return int(tf.io.gfile.stat(path).mtime_nsec) if tf.io.gfile.exists(path) else 0
