import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from bucket_training import BUCKET, gfile, in_bucket, read, trained_in_bucket
from small_table import small_table
from training_job import PROBLEM, training_job, weights_of

from artifacts.names import HISTORY_FILE, HYPERPARAMETERS_FILE, STATE_FILE
from models.distributed.peers import wait_for_chief
from models.distributed.task import SINGLE_PROCESS
from models.job import Job
from models.training.remote_files import write_atomically
from models.training.trainer import build_model, train
from models.training.warm_start import warm_start


@pytest.fixture(scope="module")
def trained() -> Job:
    return trained_in_bucket()


def test_training_reads_and_writes_buckets(trained: Job) -> None:
    wait_for_chief(f"{trained.model_dir}/saved_model.pb", seconds=0)
    assert all(np.isfinite(weights).all() for weights in weights_of(trained))
    assert read(trained.in_run_dir(HISTORY_FILE)).splitlines()[1].startswith("20,")
    assert json.loads(read(trained.in_run_dir(HYPERPARAMETERS_FILE))) == trained.hyperparameters
    assert not gfile.exists(trained.in_run_dir(STATE_FILE))


def test_training_resumes_from_its_state_in_a_bucket_and_from_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = in_bucket(training_job(tmp_path / "job", steps=20), "resumed")
    with monkeypatch.context() as patch:
        patch.setattr("models.training.trainer.export", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(job, SINGLE_PROCESS)
    assert gfile.exists(job.in_run_dir(STATE_FILE))
    other = dataclasses.replace(
        job, config=dataclasses.replace(job.config, training=dataclasses.replace(job.config.training, seed=3))
    )
    with monkeypatch.context() as patch:
        patch.setattr("tf_keras.Model.fit", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):  # it takes steps instead of using the state
            train(other, SINGLE_PROCESS)
    steps = []
    monkeypatch.setattr("tf_keras.Model.fit", lambda *_, **__: steps.append(1))
    train(job, SINGLE_PROCESS)
    assert not steps
    assert gfile.exists(f"{job.model_dir}/saved_model.pb")


def test_warm_start_reads_a_model_in_a_bucket(trained: Job) -> None:
    network = build_model(trained.config, trained.hyperparameters, small_table().graph)
    assert warm_start(network, trained.model_dir, PROBLEM, small_table().graph) == len(network.weights)


def test_files_in_a_bucket_are_written_atomically() -> None:
    path = f"{BUCKET}/file"
    for content in (b"one", b"another"):
        write_atomically(path, content)
        assert read(path) == content.decode()
    assert not gfile.exists(f"{path}.partial")
