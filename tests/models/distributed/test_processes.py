import sys
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from training_job import training_job

from models.distributed.processes import LossLimit, WorkerError, WorkerGroup, gpu_environment, poll


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return lambda count: monkeypatch.setattr(tf.config, "list_physical_devices", lambda _kind: ["a GPU"] * count)


def test_gpus_are_divided_among_processes(gpus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(3)
    assert [gpu_environment(place, 2) for place in range(2)] == [
        {"CUDA_VISIBLE_DEVICES": "0,2"},
        {"CUDA_VISIBLE_DEVICES": "1"},
    ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6,7")
    assert gpu_environment(0, 2) == {"CUDA_VISIBLE_DEVICES": "5,7"}
    gpus(0)
    assert gpu_environment(0, 2) == {}


def test_fewer_gpus_than_processes_are_rejected(gpus: Any) -> None:
    gpus(1)
    with pytest.raises(
        ValueError, match=r"found 1 GPUs for 2 workers; expected at least one per worker: lower --workers"
    ):
        gpu_environment(0, 2)


def test_losses_are_limited_unless_the_job_makes_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = 0
    limit = LossLimit(lambda: reached)
    monkeypatch.setattr(sys, "executable", "/bin/false")  # exits at once with 1
    with WorkerGroup(training_job(tmp_path / "job")) as workers:
        worker = workers.start("worker 0", "train", {})
        for _ in poll():
            if worker.exit_code is not None:
                break
        for _ in range(3):
            limit.add(worker)
        reached = 1
        for _ in range(3):
            limit.add(worker)
        with pytest.raises(
            WorkerError,
            match=r"^worker 0 exited with code 1; see the log; 4 workers were lost in a row without progress",
        ):
            limit.add(worker)
