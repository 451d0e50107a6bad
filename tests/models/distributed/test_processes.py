import sys
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from training_job import training_job

from models.distributed.processes import Children, Losses, WorkerError, poll, share_of_gpus


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return lambda count: monkeypatch.setattr(tf.config, "list_physical_devices", lambda _kind: ["a GPU"] * count)


def test_processes_share_the_gpus(gpus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(3)
    assert [share_of_gpus(place, 2) for place in range(2)] == [
        {"CUDA_VISIBLE_DEVICES": "0,2"},
        {"CUDA_VISIBLE_DEVICES": "1"},
    ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6,7")
    assert share_of_gpus(0, 2) == {"CUDA_VISIBLE_DEVICES": "5,7"}
    gpus(0)
    assert share_of_gpus(0, 2) == {}


def test_fewer_gpus_than_processes_are_refused(gpus: Any) -> None:
    gpus(1)
    with pytest.raises(ValueError, match=r"found 1 GPUs for 2 workers; expected one for each: lower --workers"):
        share_of_gpus(0, 2)


def test_losses_have_a_bound_unless_the_work_comes_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = 0
    losses = Losses(lambda: reached)
    monkeypatch.setattr(sys, "executable", "/bin/false")  # ends at once, with 1
    with Children(training_job(tmp_path / "job")) as children:
        child = children.start("worker 0", "train", {})
        for _ in poll():
            if child.code is not None:
                break
        for _ in range(3):
            losses.add(child)
        reached = 1
        for _ in range(3):
            losses.add(child)
        with pytest.raises(
            WorkerError, match=r"^worker 0 ended with code 1; the log says why, and 3 before it, with no"
        ):
            losses.add(child)
