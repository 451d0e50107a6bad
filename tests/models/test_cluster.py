"""Several real processes train together; the slow tests start them, and kill some."""

import csv
import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from small_table import small_table
from training_job import assert_same_weights, training_job, weights_of

from models import progress
from models.cluster import WorkerError, free_ports, run_cluster, tasks_of
from models.job import HISTORY_FILE, STATE_FILE, TRAINING_FILE, Job
from models.settings import Training
from models.strategy import ALONE, CONFIG, Task
from models.trainer import train

Lines = list[tuple[str, str]]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """What one process makes of the same settings."""
    job = training_job(tmp_path_factory.mktemp("alone") / "job")
    train(job, ALONE)
    return job


@contextmanager
def lines() -> Iterator[Lines]:
    heard: Lines = []
    with progress.listening(lambda source, line: heard.append((source, line))):
        yield heard


def record(job: Job, name: str) -> Any:
    return json.loads(Path(job.in_run_dir(name)).read_text())


def history(job: Job) -> list[dict[str, float]]:
    with Path(job.in_run_dir(HISTORY_FILE)).open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def steps(heard: Lines, source: str) -> list[int]:
    return [int(line.split()[1]) for who, line in heard if who == source and line.startswith("step ")]


def kill(task: Task) -> None:
    """Ends the worker that is this task, at once."""
    for process in psutil.Process().children():
        config = json.loads(process.environ().get(CONFIG, "{}"))
        if config.get("task") == {"type": task.type, "index": task.index}:
            os.kill(process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_two_workers_learn_what_one_learns_and_each_says_how_far_it_is(tmp_path: Path, alone: Job) -> None:
    job = training_job(tmp_path / "job", workers=2)
    with lines() as heard:
        run_cluster(job)
    assert_same_weights(job, alone)
    assert steps(heard, "worker 0") == steps(heard, "worker 1") == [20, 40, 60]
    measured = record(job, TRAINING_FILE)
    assert (measured["workers"], measured["replicas"], measured["steps"]) == (2, 2, 60)
    assert not Path(job.in_run_dir(STATE_FILE)).exists()


@pytest.mark.slow
def test_three_workers_share_files_of_any_length(tmp_path: Path) -> None:
    table = small_table()
    for number, rows in enumerate((table.rows[:7], table.rows[7:250], table.rows[250:])):
        table.write(tmp_path / f"part-{number}.gz", rows)
    files = [str(tmp_path / "part-*.gz")]
    one, three = (training_job(tmp_path / str(workers), files, workers=workers, steps=40) for workers in (1, 3))
    train(one, ALONE)
    run_cluster(three)
    assert_same_weights(three, one)
    for row, other in zip(history(one), history(three), strict=True):
        assert other == pytest.approx(row, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1], ids=["chief", "worker"])
def test_a_worker_that_is_killed_is_replaced_and_no_step_is_lost_or_taken_twice(
    tmp_path: Path, alone: Job, index: int
) -> None:
    job = training_job(tmp_path / "job", workers=2, checkpoint_every=10)
    killed: list[int] = []
    heard: Lines = []

    def listen(source: str, line: str) -> None:
        heard.append((source, line))
        if line.startswith("step 30 ") and source == "worker 0" and not killed:
            killed.append(30)
            kill(Task({}, "worker", index))

    with progress.listening(listen):
        run_cluster(job)
    assert killed
    assert ("a worker was lost", "all start anew from the last checkpoint") in heard
    seen = steps(heard, "worker 0")
    assert sorted(set(seen)) == [10, 20, 30, 40, 50, 60]
    assert len(seen) <= 7, "more than one interval was repeated"
    assert_same_weights(job, alone)


@pytest.mark.slow
def test_steps_are_given_to_workers_that_share_parameter_servers(tmp_path: Path) -> None:
    job = training_job(tmp_path / "job", strategy="parameter_server", workers=2, parameter_servers=1)
    with lines() as heard:
        run_cluster(job)
    assert steps(heard, "chief") == [20, 40, 60]
    [first, *_, last] = history(job)
    assert last["val_loss"] < first["val_loss"] / 2
    assert weights_of(job)
    assert not [child for child in psutil.Process().children() if "models.worker" in child.cmdline()]


@pytest.mark.slow
def test_what_a_worker_fails_for_is_told(tmp_path: Path) -> None:
    job = training_job(tmp_path / "job", workers=2)
    job.hyperparameters["hidden_units"] = -1
    with pytest.raises(WorkerError, match=r"^worker [01]: 1 validation error for Hyperparameters"):
        run_cluster(job)
    assert not Path(job.model_dir).exists()


def test_each_task_knows_all_of_them() -> None:
    first, second = tasks_of(Training(workers=2, batch_size=2), [5, 6])
    assert first.cluster == second.cluster == {"worker": ["127.0.0.1:5", "127.0.0.1:6"]}
    assert (first.is_chief, second.is_chief, first.name, second.name) == (True, False, "worker 0", "worker 1")
    several = tasks_of(Training(strategy="parameter_server", workers=2, parameter_servers=1), [5, 6, 7, 8])
    assert [(task.name, task.is_chief) for task in several] == [
        ("chief", True),
        ("ps 0", False),
        ("worker 0", False),
        ("worker 1", False),
    ]


def test_ports_are_free_ones_or_those_that_are_asked_for() -> None:
    assert len(set(free_ports(3, 0))) == 3
    [port] = free_ports(1, 0)
    assert free_ports(1, port) == [port]


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            ValueError, match=rf"first_port: found port {port}: Address already in use; expected 1 free"
        ):
            free_ports(1, port)
    with pytest.raises(ValueError, match=r"first_port: found 65535; expected 2 free ports"):
        free_ports(2, 65_535)
