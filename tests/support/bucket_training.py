"""A finished training whose files are all in a bucket, made once per process."""

import dataclasses
import functools
import json
import os
import tempfile
from pathlib import Path

import pytest
import tensorflow as tf
from small_table import small_table
from training_job import training_job

from artifacts.names import TRAINING_FILE
from models.distributed.task import SINGLE_PROCESS
from models.job import LOG_DIR, Job
from models.training.trainer import train

gfile = tf.io.gfile
BUCKET = "ram://models"  # TensorFlow's in-memory file system: code that can use it can use Cloud Storage


def copy_folder(source: str, target: str) -> str:
    """Copies a folder to the bucket or from it, and returns the target."""
    for folder, _, names in gfile.walk(source):
        place = target + folder.removeprefix(source)
        gfile.makedirs(place)
        for name in names:
            gfile.copy(os.path.join(folder, name), os.path.join(place, name))
    return target


@functools.cache
def table_in_bucket() -> str:
    return copy_folder(str(small_table().folder), f"{BUCKET}/table")


def read(path: str) -> str:
    with gfile.GFile(path) as file:
        text: str = file.read()
    return text


def in_bucket(job: Job, name: str) -> Job:
    """The job with all its files in the bucket."""
    table, folder = table_in_bucket(), f"{BUCKET}/{name}"
    files = [f"{table}/examples*.gz"]
    return dataclasses.replace(
        job,
        train_files=files,
        validation_files=files,
        transform_graph=f"{table}/graph",
        model_dir=f"{folder}/model",
        run_dir=f"{folder}/run",
    )


@functools.cache
def trained_in_bucket() -> Job:
    """The finished training."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        job = in_bucket(training_job(Path(folder) / "job", steps=20), "trained")
        patch.delenv(LOG_DIR, raising=False)
        train(job, SINGLE_PROCESS)
        assert gfile.glob(f"{job.log_dir}/*/events*")
        assert json.loads(read(job.in_run_dir(TRAINING_FILE)))["logs"] == job.log_dir
    return job
