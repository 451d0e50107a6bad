"""Training with several processes. The slow tests start them, and kill some."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import ROOT
from small_table import small_table
from training_job import assert_same_weights, training_job, weights_of

from artifacts.names import HISTORY_FILE, STATE_FILE, TRAINING_FILE
from common import progress
from models.distributed.processes import WorkerError, WorkerGroup
from models.distributed.supervisor import cluster_tasks, free_ports, run_cluster
from models.distributed.task import SINGLE_PROCESS, TF_CONFIG, Task
from models.job import Job
from models.training.trainer import train
from models.training_settings import Training

Lines = list[tuple[str, str]]


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The same training in one process."""
    job = training_job(tmp_path_factory.mktemp("single") / "job")
    train(job, SINGLE_PROCESS)
    return job


@contextmanager
def progress_lines() -> Iterator[Lines]:
    seen_lines: Lines = []
    with progress.listening(lambda source, line: seen_lines.append((source, line))):
        yield seen_lines


def record(job: Job, name: str) -> Any:
    return json.loads(Path(job.in_run_dir(name)).read_text())


def history(job: Job) -> list[dict[str, float]]:
    with Path(job.in_run_dir(HISTORY_FILE)).open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def steps(seen_lines: Lines, source: str) -> list[int]:
    return [int(line.split()[1]) for reporter, line in seen_lines if reporter == source and line.startswith("step ")]


@contextmanager
def killing(task: Task, source: str, step: int) -> Iterator[None]:
    """Kills the process of a task just after ``source`` has reported a step."""
    killed: list[int] = []

    def listen(reporter: str, line: str) -> None:
        if line.startswith(f"step {step} ") and reporter == source and not killed:
            time.sleep(0.03)
            killed.extend(process.pid for process in psutil.Process().children() if is_task(process, task))
            os.kill(killed[0], signal.SIGKILL)

    with progress.listening(listen):
        yield
    assert len(killed) == 1


def is_task(process: psutil.Process, task: Task) -> bool:
    config = json.loads(process.environ().get(TF_CONFIG, "{}"))
    return bool(config.get("task") == {"type": task.type, "index": task.index})


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"the condition was not met after {seconds} s"
        time.sleep(0.1)


@pytest.mark.slow
def test_three_workers_share_files_of_different_lengths_and_train_the_same_model_as_one(tmp_path: Path) -> None:
    table = small_table()
    for number, rows in enumerate((table.rows[:7], table.rows[7:250], table.rows[250:])):
        table.write(tmp_path / f"part-{number}.gz", rows)
    files = [str(tmp_path / "part-*.gz")]
    one, three = (training_job(tmp_path / str(workers), files, workers=workers, steps=40) for workers in (1, 3))
    assert len(three.train_files) == 1, "expected one pattern: workers share rows, not files"
    train(one, SINGLE_PROCESS)
    with progress_lines() as seen_lines:
        run_cluster(three)
    assert_same_weights(three, one)
    assert [steps(seen_lines, f"worker {index}") for index in range(3)] == [[20, 40]] * 3
    trained = record(three, TRAINING_FILE)
    assert (trained["workers"], trained["replicas"], trained["steps"]) == (3, 3, 40)
    assert not Path(three.in_run_dir(STATE_FILE)).exists()
    for row, other in zip(history(one), history(three), strict=True):
        assert other == pytest.approx(row, rel=1e-3)


@pytest.mark.slow
def test_training_resumes_without_repeating_or_losing_steps_after_each_kill(tmp_path: Path, single: Job) -> None:
    job = training_job(tmp_path / "job", workers=2, checkpoint_every=10)
    chief, worker = (Task({}, "worker", index) for index in range(2))
    with progress_lines() as seen_lines, killing(worker, "worker 0", 20), killing(chief, "worker 0", 40):
        run_cluster(job)
    assert lost(seen_lines) == [
        ("worker 1", "was lost; restarting all processes from the last checkpoint"),
        ("worker 0", "was lost; restarting all processes from the last checkpoint"),
    ]
    assert_at_most_one_interval_is_repeated_per_kill(steps(seen_lines, "worker 0"), kills=2)
    assert_same_weights(job, single)


def lost(seen_lines: Lines) -> Lines:
    return [each for each in seen_lines if each[1].startswith("was lost")]


def assert_at_most_one_interval_is_repeated_per_kill(seen: list[int], kills: int) -> None:
    assert sorted(set(seen)) == [10, 20, 30, 40, 50, 60]
    assert len(seen) <= 6 + kills


@pytest.mark.slow
def test_training_with_parameter_servers_replaces_lost_processes(tmp_path: Path) -> None:
    job = training_job(
        tmp_path / "job", strategy="parameter_server", workers=2, parameter_servers=1, checkpoint_every=10
    )
    worker, server = Task({}, "worker", 1), Task({}, "ps", 0)
    with progress_lines() as seen_lines, killing(worker, "chief", 20), killing(server, "chief", 40):
        run_cluster(job)
    assert lost(seen_lines) == [
        ("worker 1", "was lost; starting a replacement"),
        ("ps 0", "was lost; restarting all processes from the last checkpoint"),
    ]
    assert_at_most_one_interval_is_repeated_per_kill(steps(seen_lines, "chief"), kills=2)
    [first, *_, last] = history(job)
    assert last["val_loss"] < first["val_loss"] / 2
    assert weights_of(job)
    assert not worker_processes()


def worker_processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "models.worker" in child.cmdline()]


ENDLESS: dict[str, Any] = {"steps": 1_000_000, "patience": 1_000_000}


@pytest.mark.slow
def test_ctrl_c_ends_the_workers(tmp_path: Path) -> None:
    workers: list[psutil.Process] = []

    def interrupt(_source: str, line: str) -> None:
        if line.startswith("step ") and not workers:
            workers.extend(worker_processes())
            os.kill(os.getpid(), signal.SIGINT)

    with progress.listening(interrupt), pytest.raises(KeyboardInterrupt):
        run_cluster(training_job(tmp_path / "job", workers=2, **ENDLESS))
    assert len(workers) == 2
    assert not any(worker.is_running() for worker in workers)


@pytest.mark.slow
def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    training_job(tmp_path / "job", workers=2, **ENDLESS).write(tmp_path / "job.json")
    code = "import sys; from pathlib import Path; from models import job; from models.distributed import supervisor;"
    code += "supervisor.run_cluster(job.Job.read(Path(sys.argv[1])))"
    wait_for_state = (tmp_path / "job/run" / STATE_FILE).exists
    assert_children_end(kill_parent([code, str(tmp_path / "job.json")], 2, wait_for_state))


@pytest.mark.slow
def test_a_worker_whose_parent_is_killed_exits_during_its_imports(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys; command = [sys.executable, '-m', 'models.worker', '--parent', str(os.getpid())];"
    )
    code += "subprocess.run([*command, '--failure', sys.argv[1], 'train', sys.argv[2]])"
    failure = tmp_path / "failure.json"
    assert_children_end(kill_parent([code, str(failure), str(tmp_path / "job.json")], 1, lambda: True))
    assert not failure.exists(), "it read the job, which comes after the imports"


def kill_parent(arguments: list[str], count: int, is_under_way: Callable[[], bool]) -> list[psutil.Process]:
    """Kills a Python process with so many workers once they are under way. Returns the workers."""
    command = [sys.executable, "-c", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as parent:
        try:
            wait_until(lambda: len(psutil.Process(parent.pid).children()) == count and is_under_way())
            return psutil.Process(parent.pid).children()
        finally:
            parent.kill()


def assert_children_end(children: list[psutil.Process]) -> None:
    assert children
    _, left = psutil.wait_procs(children, 20)
    assert not left


@pytest.mark.slow
def test_a_chief_and_a_worker_started_separately_train_together(tmp_path: Path, single: Job) -> None:
    job = training_job(tmp_path / "job")
    chief, worker = (f"127.0.0.1:{port}" for port in free_ports(2, 0))
    cluster = {"chief": [chief], "worker": [worker]}
    with WorkerGroup(job) as workers:
        started = [
            workers.start(
                kind, "train", {TF_CONFIG: json.dumps({"cluster": cluster, "task": {"type": kind, "index": 0}})}
            )
            for kind in cluster
        ]
        wait_until(lambda: all(worker.exit_code is not None for worker in started))
        assert [worker.exit_code for worker in started] == [0, 0]
    assert record(job, TRAINING_FILE)["workers"] == 2
    assert_same_weights(job, single)


@pytest.mark.slow
def test_workers_stop_early_together(tmp_path: Path) -> None:
    short: dict[str, Any] = {"steps": 100, "evaluate_every": 5, "patience": 1}
    jobs = [
        training_job(
            tmp_path / str(workers),
            workers=workers,
            **short,
            hyperparameters={"learning_rate": 10.0, "hidden_units": 8},
        )
        for workers in (1, 2)
    ]
    train(jobs[0], SINGLE_PROCESS)
    run_cluster(jobs[1])
    steps_taken = [record(job, TRAINING_FILE)["steps"] for job in jobs]
    assert steps_taken[0] == steps_taken[1] < 100


@pytest.mark.slow
def test_diverging_workers_raise_one_error(tmp_path: Path) -> None:
    job = training_job(tmp_path / "job", workers=2, hyperparameters={"learning_rate": 1e38})
    with pytest.raises(WorkerError, match=r"^worker [01]: training produced NaN or infinite values; lower network\."):
        run_cluster(job)
    assert not Path(job.model_dir).exists()


@pytest.mark.slow
def test_moving_averages_are_synchronized_between_workers(tmp_path: Path) -> None:
    job = training_job(tmp_path / "job", workers=2, function="own_networks.normalized")
    run_cluster(job)
    assert history(job)[-1]["val_loss"] < history(job)[0]["val_loss"]


def test_a_taken_port_is_an_error_before_any_process_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.2", 0)) as other:
        port = other.getsockname()[1]
        job = training_job(tmp_path / "job", workers=2, first_port=port - 1)
        with pytest.raises(ValueError, match=rf"training.first_port: found port {port}: Address already in use"):
            run_cluster(job)


def test_each_task_has_the_complete_cluster() -> None:
    first, second = cluster_tasks(Training(workers=2, batch_size=2), [5, 6])
    assert first.cluster == second.cluster == {"worker": ["127.0.0.1:5", "127.0.0.1:6"]}
    assert (first.is_chief, second.is_chief, first.name, second.name) == (True, False, "worker 0", "worker 1")
    several = cluster_tasks(Training(strategy="parameter_server", workers=2, parameter_servers=1), [5, 6, 7, 8])
    assert [(task.name, task.is_chief) for task in several] == [
        ("chief", True),
        ("ps 0", False),
        ("worker 0", False),
        ("worker 1", False),
    ]


def test_ports_are_free_or_start_at_the_given_one() -> None:
    assert len(set(free_ports(3, 0))) == 3
    [port] = free_ports(1, 0)
    assert free_ports(1, port) == [port]


def test_the_error_names_a_taken_port() -> None:
    with socket.create_server(("127.0.0.2", 0)) as other:  # TensorFlow listens on all interfaces
        port = other.getsockname()[1]
        with pytest.raises(
            ValueError, match=rf"first_port: found port {port}: Address already in use; expected 1 free"
        ):
            free_ports(1, port)
