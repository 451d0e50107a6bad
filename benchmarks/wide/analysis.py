"""Times Transform's handling of wide tables and TensorFlow Transform's own, on a seeded table."""

import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from tensorflow_transform import graph_tools

from models.problem.categories import Vocabulary
from models.transforms.graph_inputs import inputs_by_output
from models.transforms.vocabularies import Column, vocabulary_files

ROWS = 2930  # the Ames housing table has 2,930 rows and 43 columns of text

Inputs: TypeAlias = dict[str, tf.Tensor]
Words: TypeAlias = list[list[bytes]]


def vocabularies(count: int, rounds: int) -> tuple[float, float]:
    """CPU seconds of an analysis one by one and together. Both have to find the same words."""
    names = [f"text_{index}" for index in range(count)]
    random = np.random.default_rng(0)
    columns = [np.minimum(random.geometric(0.3, ROWS), 3 + index % 30) for index in range(count)]
    rows = [
        {name: f"level {value}" for name, value in zip(names, values, strict=True)}
        for values in zip(*columns, strict=True)
    ]

    def one_by_one(inputs: Inputs) -> Inputs:
        files = {name: tft.vocabulary(inputs[name], vocab_filename=name) for name in names}
        return {name: tft.apply_vocabulary(inputs[name], file) for name, file in files.items()}

    def together(inputs: Inputs) -> Inputs:
        files = vocabulary_files({name: Column(inputs[name], False, Vocabulary()) for name in names})
        return {name: tft.apply_vocabulary(inputs[name], file) for name, file in files.items()}

    seconds: dict[str, list[float]] = {"theirs": [], "ours": []}
    for _ in range(rounds):
        taken, expected = _analyze(one_by_one, rows, names)
        seconds["theirs"].append(taken)
        taken, found = _analyze(together, rows, names)
        seconds["ours"].append(taken)
        assert found == expected
    return statistics.median(seconds["theirs"]), statistics.median(seconds["ours"])


def _analyze(function: Callable[[Inputs], Inputs], rows: list[dict[str, str]], names: list[str]) -> tuple[float, Words]:
    metadata = tft.DatasetMetadata.from_feature_spec({name: tf.io.FixedLenFeature([1], tf.string) for name in names})
    instances = [{name: [value] for name, value in row.items()} for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        with beam.Pipeline(runner=FnApiRunner()) as pipeline, tft_beam.Context(f"{folder}/temporary"):
            raw = pipeline | beam.Create(instances, reshuffle=False)
            graph = (raw, metadata) | tft_beam.AnalyzeDataset(function)
            _ = graph | tft_beam.WriteTransformFn(f"{folder}/graph")
        taken = time.process_time() - start
        output = tft.TFTransformOutput(f"{folder}/graph")
        return taken, [output.vocabulary_by_name(name) for name in names]


def searches(count: int) -> tuple[float, float]:
    """CPU seconds of both searches, on a graph that scales all columns together."""

    @tf.function(autograph=False)
    def scale(inputs: Inputs) -> Inputs:
        matrix = tf.concat([tf.sparse.to_dense(column) for column in inputs.values()], axis=1)
        return dict(zip(inputs, tf.split(matrix * 2, count, axis=1), strict=True))

    specs: Any = {f"{index}": tf.SparseTensorSpec([None, 1], tf.float32) for index in range(count)}
    function = scale.get_concrete_function(specs)
    outputs = tf.nest.pack_sequence_as(function.structured_outputs, function.graph.outputs)
    start = time.process_time()
    expected = [graph_tools.retrieve_sources([each.op], ignore_control_dependencies=True) for each in outputs.values()]
    middle = time.process_time()
    found = list(inputs_by_output(outputs).values())
    end = time.process_time()
    assert [set(map(id, each)) for each in found] == [set(map(id, each)) for each in expected]
    return middle - start, end - middle
