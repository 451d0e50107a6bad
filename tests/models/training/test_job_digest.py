"""What tells one training from another, and which of them may use a saved state."""

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_table import small_table
from training_job import training_job

from models.job import Job
from models.training.job_digest import job_digest
from models.training.state import TrainingState
from models.training.trainer import build_model


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job whose inputs are in the test's own folder."""
    inputs = tmp_path / "inputs"
    shutil.copytree(small_table().graph_dir, inputs / "graph")
    small_table().write(inputs / "rows.gz", small_table().rows[:2])
    (inputs / "base").mkdir()
    (inputs / "base/saved_model.pb").write_bytes(b"weights")
    made = training_job(tmp_path / "job", [str(inputs / "*.gz")])
    return dataclasses.replace(made, transform_graph=str(inputs / "graph"), base_model=str(inputs / "base"))


def rewrite(path: Path) -> None:
    """Writes as many bytes as before, a moment later."""
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))


def with_training(job: Job, **changed: Any) -> Job:
    training = dataclasses.replace(job.config.training, **changed)
    return dataclasses.replace(job, config=dataclasses.replace(job.config, training=training))


@pytest.mark.parametrize(
    "change",
    [
        lambda job, _: with_training(job, seed=3),
        lambda job, _: with_training(job, steps=20),
        lambda job, _: dataclasses.replace(job, config=dataclasses.replace(job.config, code="edited")),
        lambda job, _: dataclasses.replace(job, hyperparameters={**job.hyperparameters, "hidden_units": 9}),
        lambda job, _: dataclasses.replace(job, base_model=None),
        lambda job, _: dataclasses.replace(job, run_dir=f"{job.run_dir}/8"),
        lambda _, inputs: rewrite(inputs / "rows.gz"),
        lambda _, inputs: rewrite(inputs / "graph/transform_fn/saved_model.pb"),
        lambda _, inputs: rewrite(inputs / "base/saved_model.pb"),
        lambda _, inputs: shutil.copy(inputs / "rows.gz", inputs / "more.gz"),
    ],
)
def test_settings_inputs_and_folders_make_another_training(
    job: Job, tmp_path: Path, change: Callable[[Job, Path], object]
) -> None:
    digest = job_digest(job)
    changed = change(job, tmp_path / "inputs")
    assert job_digest(changed if isinstance(changed, Job) else job) != digest


def test_every_process_of_a_training_has_the_same_digest(job: Job, tmp_path: Path) -> None:
    job.write(tmp_path / "job.json")
    assert job_digest(Job.read(tmp_path / "job.json")) == job_digest(job)


def test_state_of_another_training_is_not_used(tmp_path: Path) -> None:
    """As after an older copy of ML Metadata's database was restored: another execution has the same folder."""
    job, path = training_job(tmp_path / "job"), str(tmp_path / "state.npz")
    killed, model = (build_model(job.config, job.hyperparameters, small_table().graph) for _ in range(2))
    for each in (killed, model):
        each.optimizer.build(each.trainable_variables)
    killed.set_weights([weights + 1 for weights in killed.get_weights()])
    initial = [weights.copy() for weights in model.get_weights()]
    TrainingState(job_digest(job), step=40).write(path, killed.get_weights(), killed.optimizer)
    other = TrainingState.read(path, model, job_digest(with_training(job, seed=3, steps=20)))
    assert other.step == 0
    assert all((one == two).all() for one, two in zip(model.get_weights(), initial, strict=True))
    assert TrainingState.read(path, model, job_digest(job)).step == 40
    assert all((one == two).all() for one, two in zip(model.get_weights(), killed.get_weights(), strict=True))
