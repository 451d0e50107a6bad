"""BatchedStatisticsGen held against TFX's own StatisticsGen on the same rows."""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.components import StatisticsGen
from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.types import Channel, artifact_utils
from tfx.types.standard_artifacts import Examples, ExampleStatistics

from custom_components.batched_statistics_gen.component import BatchedStatisticsGen

RUNNER = "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"
SPLITS = {"train": 600, "validation": 0, "eval": 40}


def make_example(number: int, random: np.random.Generator) -> bytes:
    """A row with a number, a list of numbers, and a text that may be missing."""
    feature = {
        "fare": tf.train.Feature(float_list={"value": [random.normal()]}),
        "lists": tf.train.Feature(int64_list={"value": range(number % 4)}),
    }
    if number % 3:
        feature["city"] = tf.train.Feature(bytes_list={"value": [f"Zürich {number % 7}".encode()]})
    return bytes(tf.train.Example(features={"feature": feature}).SerializeToString())


def examples(folder: Path) -> Examples:
    """A file a split, since TFX takes several in any order, and sums of floats differ by it."""
    random = np.random.default_rng(0)
    artifact = Examples()
    artifact.uri, artifact.span = str(folder), 7
    artifact.split_names = artifact_utils.encode_split_names(list(SPLITS))
    for split, count in SPLITS.items():
        path = folder / f"Split-{split}/data_tfrecord-00000-of-00001.gz"
        path.parent.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
            for number in range(count):
                writer.write(make_example(number, random))
    return artifact


def run(node: BaseBeamComponent, folder: Path, given: Examples) -> ExampleStatistics:
    statistics = ExampleStatistics()
    statistics.uri = str(folder)
    executor = node.executor_spec.executor_class
    context = executor.Context(beam_pipeline_args=[RUNNER], tmp_dir=str(folder / ".temp"))
    executor(context).Do({"examples": [given]}, {"statistics": [statistics]}, dict(node.exec_properties))
    return statistics


def read(artifact: ExampleStatistics, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    return tfdv.load_stats_binary(f"{artifact.uri}/Split-{split}/FeatureStats.pb")


def test_statistics_are_those_of_tfx(tmp_path: Path) -> None:
    given, channel = examples(tmp_path / "examples"), Channel(type=Examples)
    expected = run(StatisticsGen(channel), tmp_path / "theirs", given)
    found = run(BatchedStatisticsGen(channel), tmp_path / "ours", given)
    assert (found.split_names, found.span) == (expected.split_names, 7)
    for split, count in SPLITS.items():
        ours, theirs = (read(each, split) for each in (found, expected))
        assert ours.datasets[0].num_examples == count
        for each in (ours, theirs):
            each.datasets[0].features.sort(key=lambda feature: feature.path.step[0])
        assert ours == theirs
