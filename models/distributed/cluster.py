"""Trains with several processes on this machine, and replaces those that are killed."""

import contextlib
import functools
import json
from collections.abc import Sequence

import tensorflow as tf

from artifacts.names import STATE_FILE
from common import progress
from models.distributed.peers import PortTakenError, listen
from models.distributed.processes import NO_GPUS, Child, Children, Losses, WorkerError, poll, share_of_gpus, wait_for
from models.distributed.task import CHIEF, CONFIG, SERVER, WORKER, Task
from models.job import Job
from models.settings import ModelConfig, Training

HOST = "127.0.0.1"
GRACE_SECONDS = 10.0  # in which processes whose peer failed may say so themselves
# What TensorFlow raises in a process whose peer is gone.
PEER_LOST = ("UnavailableError", "AbortedError", "CancelledError", "InternalError", "DeadlineExceededError")


def run_cluster(job: Job) -> None:
    """Trains with as many processes as the settings ask for, and returns once the chief has exported.

    Each has a ``TF_CONFIG`` of its own, as on Vertex AI. Where one is killed, all start anew and go on from the last
    checkpoint, since none can take a step without the others; a lost worker of a cluster with parameter servers is
    replaced alone. They talk over the loopback interface, but TensorFlow's servers listen on all of them, and ask
    nobody for a password.

    Raises:
        ValueError: A port is taken, or there are GPUs and fewer than workers.
        WorkerError: A worker failed, or workers are killed again and again without coming further.
    """
    losses = Losses(functools.partial(_checkpoint_time, job))
    while lost := _lost(job, losses):
        losses.add(lost)
        progress.report("was lost; all start anew from the last checkpoint", lost.name)


def tasks_of(training: Training, ports: Sequence[int]) -> list[Task]:
    """The tasks of a training, each with the whole cluster; the chief is the first."""
    addresses = [f"{HOST}:{port}" for port in ports]
    cluster = {WORKER: addresses}
    if training.strategy == "parameter_server":
        behind = 1 + training.parameter_servers
        cluster = {CHIEF: addresses[:1], SERVER: addresses[1:behind], WORKER: addresses[behind:]}
    return [Task(cluster, kind, index) for kind, each in cluster.items() for index in range(len(each))]


def free_ports(count: int, first: int) -> list[int]:
    """Ports to listen on.

    Args:
        count: How many.
        first: The first of them; 0 takes any that are free.

    Raises:
        ValueError: One is taken.
    """
    expected = f"expected {count} free ports from there on, or 0 for any"
    with contextlib.ExitStack() as stack:
        found = []
        for place in range(count):
            number = first + place if first else 0
            try:
                listening = stack.enter_context(listen(number))
            except OSError as error:
                text = f"training.first_port: found port {number}: {error.strerror}; {expected}"
                raise ValueError(text) from error
            found.append(listening.getsockname()[1])
        return found


def _lost(job: Job, losses: Losses) -> Child | None:
    """Runs all until they have come to the end, or one was lost, without which the others cannot go on.

    Raises:
        WorkerError: One failed by itself.
    """
    training = ModelConfig.from_config(job.config).training
    coordinated = training.strategy == "parameter_server"
    count = training.workers + (1 + training.parameter_servers if coordinated else 0)
    tasks = tasks_of(training, free_ports(count, training.first_port))
    with Children(job) as children:
        if coordinated:
            return _lost_of_coordinated(children, tasks, losses)
        return _lost_together([_start(children, task) for task in tasks])


def _lost_together(running: Sequence[Child]) -> Child | None:
    for _ in poll():
        if all(child.code == 0 for child in running):
            return None
        if any(child.code for child in running):
            if not any((child.code or 0) < 0 for child in running):
                wait_for(running, GRACE_SECONDS)
            _raise_failure(running)
            return min((child for child in running if child.code), key=lambda child: child.code or 0)
    raise AssertionError("unreachable")


def _lost_of_coordinated(children: Children, tasks: Sequence[Task], losses: Losses) -> Child | None:
    """The chief gives out the steps; it takes the loss of a worker, and not that of a parameter server."""
    running = {task.name: _start(children, task) for task in tasks}
    for _ in poll():
        if running[CHIEF].code == 0:
            return None
        for task in reversed(tasks):  # the chief, which fails for want of a parameter server, comes last
            child = running[task.name]
            if not child.code:  # the others end by themselves when the chief has exported
                continue
            _raise_failure([child])
            if task.type != WORKER:
                return child
            losses.add(child)
            progress.report("was lost and is replaced", task.name)
            running[task.name] = _start(children, task)
    raise AssertionError("unreachable")


def _raise_failure(processes: Sequence[Child]) -> None:
    """Raises what one failed for by itself; not if one was killed, since the others then fail for want of it."""
    if any((child.code or 0) < 0 for child in processes):
        return
    for child in processes:
        kind, text = child.failure or ("", "")
        if kind and kind not in (*PEER_LOST, PortTakenError.__name__):
            raise WorkerError(f"{child.name}: {text}")


def _start(children: Children, task: Task) -> Child:
    config = {"cluster": task.cluster, "task": {"type": task.type, "index": task.index}}
    gpus = share_of_gpus(task.index, task.trainers) if task.type == WORKER else NO_GPUS
    return children.start(task.name, "train", {CONFIG: json.dumps(config), **gpus})


def _checkpoint_time(job: Job) -> int:
    path = job.in_run_dir(STATE_FILE)
    return int(tf.io.gfile.stat(path).mtime_nsec) if tf.io.gfile.exists(path) else 0
