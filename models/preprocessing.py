"""The one place where a raw value becomes a feature.

A missing value has one meaning everywhere. In a ``tf.Example`` it is an absent feature; in a dense tensor it is
NaN (also an infinity), the empty string, or the smallest int64. It becomes 0 for a dense feature (the mean,
after z-scoring), index 0 for a categorical one (real values start at 1), and the centre of the circle, (0, 0),
for a cyclical one.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import tensorflow as tf
import tensorflow_transform as tft

from models.features import Bucketed, Cyclical, Dense, Features, Hashed, Integer, Label, Problem, Vocabulary
from models.features import transformed_name as named

MISSING = {tf.float32: math.nan, tf.int64: tf.int64.min, tf.string: ""}
QUANTILE_ERROR = 0.001  # of the rows that fall into a bucket

RawColumn: TypeAlias = tf.Tensor | tf.SparseTensor
Columns = Mapping[str, tf.Tensor]


def preprocessing_fn(inputs: Mapping[str, RawColumn], custom_config: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Maps raw columns to transformed features and the label.

    Args:
        inputs: Raw columns of N rows, sparse where the schema leaves the shape open, else of shape [N, 1].
        custom_config: Holds ``problem``, a :class:`models.features.Problem` as written by its ``to_config``.

    Returns:
        One tensor a feature, named ``<column>_<kind>``: float32 [N, 1] for dense, int64 [N, 1] for bucketed,
        integer, vocabulary and hashed, float32 [N, 2] for cyclical; and the label, int64 [N, 1] for classes and
        float32 [N, 1] for a regression.
    """
    problem = Problem.from_config(custom_config["problem"])
    features = problem.features
    columns = {name: as_column(inputs[name]) for name in (*features.columns, *problem.label.columns)}
    numbers = {name: _numbers(columns[name]) for name in {**features.dense, **features.bucketed}}
    outputs = {**_dense(features.dense, numbers), **_bucketed(features.bucketed, numbers)}
    for column, integer in features.integer.items():
        outputs[named("integer", column)] = _integer(integer, columns[column])
    for column, vocabulary in features.vocabulary.items():
        outputs[named("vocabulary", column)] = _vocabulary(vocabulary, columns[column], column)
    for column, hashed in features.hashed.items():
        outputs[named("hashed", column)] = _hashed(hashed, columns[column])
    for column, cyclical in features.cyclical.items():
        outputs[named("cyclical", column)] = _cyclical(cyclical, columns[column])
    outputs[problem.label.name] = _label(problem, columns)
    return outputs


def as_column(values: RawColumn) -> tf.Tensor:
    """Returns ``values`` as a dense [N, 1] tensor that holds the placeholder of its dtype where a value is missing.

    Args:
        values: Sparse with at most one value a row, or dense [N, 1]; float32, int64 or string.
    """
    if isinstance(values, tf.SparseTensor):
        one_column = tf.SparseTensor(values.indices, values.values, [values.dense_shape[0], 1])
        return tf.sparse.to_dense(one_column, MISSING[values.dtype])
    return tf.reshape(values, [-1, 1])


def is_present(values: tf.Tensor) -> tf.Tensor:
    """Where ``values`` (float32, int64 or string) do not hold the placeholder of their dtype; of the same shape."""
    if values.dtype.is_floating:
        return tf.math.is_finite(values)
    return tf.not_equal(values, MISSING[values.dtype])


def _dense(specs: Mapping[str, Dense], numbers: Columns) -> dict[str, tf.Tensor]:
    """Scales all columns of one kind of scale together: an analyzer costs a second of Beam, however wide it is."""
    scalers: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
        "z_score": lambda matrix: tft.scale_to_z_score(matrix, elementwise=True),
        "min_max": _scale_to_range,
        "none": tf.identity,
    }
    outputs = {}
    for scale, scaler in scalers.items():
        names = [column for column, spec in specs.items() if spec.scale == scale]
        if names:
            matrix = tf.concat([_logarithm(numbers[name], specs[name]) for name in names], axis=1)
            scaled = scaler(matrix)
            # A number too far from the analysed ones overflows; it becomes 0, as a missing one does.
            scaled = tf.where(tf.math.is_finite(matrix) & tf.math.is_finite(scaled), scaled, 0.0)
            outputs.update(_split(scaled, [named("dense", name) for name in names]))
    return outputs


def _scale_to_range(matrix: tf.Tensor) -> tf.Tensor:
    """Columns scaled to 0 .. 1 over their known values; TFT's own scaler gives up on a column with a NaN in it."""
    known = tf.math.is_finite(matrix)
    smallest = tft.min(tf.where(known, matrix, math.inf), reduce_instance_dims=False)
    largest = tft.max(tf.where(known, matrix, -math.inf), reduce_instance_dims=False)
    return tf.math.divide_no_nan(matrix - smallest, largest - smallest)


def _logarithm(numbers: tf.Tensor, spec: Dense) -> tf.Tensor:
    return tf.sign(numbers) * _precisely(tf.math.log1p, tf.abs(numbers)) if spec.log else numbers


def _precisely(function: Callable[[tf.Tensor], tf.Tensor], numbers: tf.Tensor) -> tf.Tensor:
    """``function`` in float64, rounded to float32.

    TensorFlow computes most rows of a batch with vector instructions and the last few without; the two differ in the
    last bit of a logarithm or a sine, so that a row's value would depend on its place in the batch.
    """
    return tf.cast(function(tf.cast(numbers, tf.float64)), tf.float32)


def _bucketed(specs: Mapping[str, Bucketed], numbers: Columns) -> dict[str, tf.Tensor]:
    """Finds the quantiles of all columns with as many buckets together."""
    outputs = {}
    for buckets in sorted({spec.buckets for spec in specs.values()}):
        names = [column for column, spec in specs.items() if spec.buckets == buckets]
        matrix = tf.concat([numbers[name] for name in names], axis=1)
        boundaries = tft.quantiles(matrix, buckets, QUANTILE_ERROR, reduce_instance_dims=False)
        present = tf.math.is_finite(matrix)
        known = tf.where(present, matrix, 0.0)
        pairs = zip(tf.split(known, len(names), axis=1), tf.split(boundaries, len(names)), strict=True)
        found = [tft.apply_buckets(column, bounds) for column, bounds in pairs]
        indices = tf.where(present, tf.concat(found, axis=1) + 1, 0)
        outputs.update(_split(indices, [named("bucketed", name) for name in names]))
    return outputs


def _integer(spec: Integer, values: tf.Tensor) -> tf.Tensor:
    in_range = (values >= spec.min) & (values <= spec.max)
    indices = tf.where(in_range, values - spec.min + 1, spec.max - spec.min + 2)
    return tf.where(is_present(values), indices, 0)


def _vocabulary(spec: Vocabulary, values: tf.Tensor, column: str) -> tf.Tensor:
    present = is_present(values)
    vocabulary = tft.vocabulary(
        tf.boolean_mask(values, present),
        top_k=spec.top_k,
        frequency_threshold=spec.min_frequency if spec.min_frequency > 1 else None,
        vocab_filename=named("vocabulary", column),
    )
    indices = tft.apply_vocabulary(values, vocabulary, num_oov_buckets=spec.oov_buckets)
    return tf.where(present, indices + 1, 0)


def _hashed(spec: Hashed, values: tf.Tensor) -> tf.Tensor:
    text = values if values.dtype == tf.string else tf.strings.as_string(values)
    indices = tf.strings.to_hash_bucket_fast(text, spec.buckets)
    return tf.where(is_present(values), indices + 1, 0)


def _cyclical(spec: Cyclical, values: tf.Tensor) -> tf.Tensor:
    # The remainder is taken before anything is rounded: seconds since 1970 have no room in a float32.
    present = is_present(values)
    known = tf.where(present, values, tf.constant(0, values.dtype))
    exact = known.dtype == tf.int64 and spec.period.is_integer() and spec.period < tf.int64.max
    period = tf.constant(int(spec.period), tf.int64) if exact else tf.constant(spec.period, tf.float64)
    remainder = tf.math.floormod(tf.cast(known, period.dtype), period)
    angle = tf.cast(remainder, tf.float64) * (2 * math.pi / spec.period)
    circle = tf.cast(tf.concat([tf.sin(angle), tf.cos(angle)], axis=1), tf.float32)
    return tf.where(present, circle, 0.0)


def _numbers(values: tf.Tensor) -> tf.Tensor:
    """``values`` as float32 with NaN where they are missing or infinite; [N, 1]."""
    numbers = tf.cast(values, tf.float32)
    return tf.where(is_present(values), numbers, math.nan)


def _split(matrix: tf.Tensor, names: list[str]) -> dict[str, tf.Tensor]:
    return dict(zip(names, tf.split(matrix, len(names), axis=1), strict=True))


def _label(problem: Problem, columns: Mapping[str, tf.Tensor]) -> tf.Tensor:
    label = problem.label
    values = columns[label.column]
    if problem.task == "regression":
        return tf.cast(values, tf.float32)
    if label.above is not None:
        return _above(label, columns)
    if label.classes is not None:
        return _class_index(values, label.classes)
    return tf.cast(values, tf.int64)


def _above(label: Label, columns: Mapping[str, tf.Tensor]) -> tf.Tensor:
    assert label.above is not None
    threshold: tf.Tensor | float | None = label.above.value
    if label.above.of is not None:
        threshold = label.above.fraction * tf.cast(columns[label.above.of], tf.float32)
    return tf.cast(tf.cast(columns[label.column], tf.float32) > threshold, tf.int64)


def _class_index(values: tf.Tensor, names: tuple[str, ...]) -> tf.Tensor:
    """Index in ``names`` of each value, and -1 for one that is not among them; int64 [N, 1]."""
    text = values if values.dtype == tf.string else tf.strings.as_string(values)
    matches = tf.equal(text, tf.constant([list(names)]))
    found = tf.reduce_any(matches, axis=1, keepdims=True)
    index = tf.argmax(tf.cast(matches, tf.int32), axis=1, output_type=tf.int64)[:, tf.newaxis]
    return tf.where(found, index, -tf.ones_like(index))


def categorical_sizes(features: Features, transform_output: tft.TFTransformOutput) -> dict[str, int]:
    """Number of indices, the missing one included, of each transformed categorical feature."""
    sizes = {}
    for column, bucketed in features.bucketed.items():
        sizes[named("bucketed", column)] = bucketed.buckets + 1
    for column, integer in features.integer.items():
        sizes[named("integer", column)] = integer.max - integer.min + 3
    for column, vocabulary in features.vocabulary.items():
        name = named("vocabulary", column)
        sizes[name] = transform_output.vocabulary_size_by_name(name) + vocabulary.oov_buckets + 1
    for column, hashed in features.hashed.items():
        sizes[named("hashed", column)] = hashed.buckets + 1
    return sizes
