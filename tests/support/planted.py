"""A table with a leak, a duplicate and a noise column, transformed without Beam."""

import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform.tf_metadata import metadata_io

from custom_components.ablation.trainings import Split
from models.problem.categories import Hashed
from models.problem.features import Features
from models.problem.label import Label
from models.problem.numbers import Dense
from models.problem.problem import Problem
from models.training_settings import ModelConfig, Network, Training

PLACES = 4
FEATURES = Features(
    dense={"signal": Dense(), "copy": Dense(), "leak": Dense(), "noise": Dense()},
    hashed={"place": Hashed(buckets=PLACES)},
)
PROBLEM = Problem(task="binary", label=Label(name="bought", column="bought"), features=FEATURES)
SPEC = {
    **{f"{name}_dense": tf.io.FixedLenFeature([1], tf.float32) for name in FEATURES.dense},
    "place_hashed": tf.io.FixedLenFeature([1], tf.int64),
    "bought": tf.io.FixedLenFeature([1], tf.int64),
}
CONFIG = ModelConfig(
    problem=PROBLEM,
    network=Network(hyperparameters={"hidden_layers": 1, "hidden_units": 8, "learning_rate": 0.02}),
    training=Training(steps=100, batch_size=100, evaluate_every=50),
)


@dataclasses.dataclass(frozen=True)
class Planted:
    """The transformed table."""

    splits: tuple[Split, Split]
    graph: tft.TFTransformOutput


def planted(folder: Path, problem: Problem = PROBLEM, rows: int = 2000) -> Planted:
    """Writes the table. The label follows ``signal`` and ``place``, and ``leak`` follows the label."""
    metadata = tft.DatasetMetadata.from_feature_spec(SPEC)
    metadata_io.write_metadata(metadata, str(folder / "graph/transformed_metadata"))
    random = np.random.default_rng(5)
    splits = [_write(folder / name, rows, random, metadata) for name in ("train.gz", "validation.gz")]
    train, validation = (Split.of([str(path)], problem) for path in splits)
    return Planted((train, validation), tft.TFTransformOutput(str(folder / "graph")))


def _write(path: Path, rows: int, random: np.random.Generator, metadata: tft.DatasetMetadata) -> Path:
    signal, noise = random.normal(size=(2, rows))
    place = random.integers(1, PLACES + 1, rows)
    label = random.random(rows) < 1 / (1 + np.exp(-1.2 * signal - np.array([-1.5, -0.5, 0.5, 1.5])[place - 1]))
    leak = label + 0.5 * random.normal(size=rows)
    columns = {
        "signal_dense": signal,
        "copy_dense": 2 * signal + 0.1 * random.normal(size=rows),
        "leak_dense": leak - leak.mean(),
        "noise_dense": noise,
        "place_hashed": place,
        "bought": label.astype(int),
    }
    coder = tft.coders.ExampleProtoCoder(metadata.schema)
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for row in range(rows):
            writer.write(coder.encode({name: np.array([values[row]]) for name, values in columns.items()}))
    return path
