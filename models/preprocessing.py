"""The only place where raw values become features.

A missing value means the same everywhere. In a ``tf.Example`` it is an absent feature. In a dense tensor it is NaN (or
an infinity), the empty string, or the smallest int64. It becomes 0 for a dense feature (the mean, after z-scoring),
index 0 for a categorical one (known values start at 1), and the center of the circle, (0, 0), for a cyclical one.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf
import tensorflow_transform as tft

import models.graph_inputs  # noqa: F401 - makes TFT faster
from models.class_values import numeric_values, text_values
from models.features import Bucketed, Cyclical, Dense, Features, Hashed, Integer, Kind, Label, Problem, Vocabulary
from models.features import transformed_name as named

MISSING = {tf.float32: math.nan, tf.int64: tf.int64.min, tf.string: ""}
QUANTILE_ERROR = 0.001  # fraction of the rows by which the size of a bucket may be off

RawColumn: TypeAlias = tf.Tensor | tf.SparseTensor
Columns: TypeAlias = Mapping[str, tf.Tensor]


class RawColumns(NamedTuple):
    """The raw columns of N rows by name in TensorFlow's graphs, as the functions in :data:`TRANSFORMS` read them.

    Attributes:
        values: Dense columns [N, 1], with the placeholder of their dtype where a value is missing.
        numbers: The columns of :data:`NUMERIC_KINDS` as float32 [N, 1], with NaN where a value is missing or infinite.
    """

    values: Columns
    numbers: Columns


# Transforms all columns of one kind: takes their settings by column, and returns the transformed features by name.
Transform: TypeAlias = Callable[[Mapping[str, Any], RawColumns], dict[str, tf.Tensor]]


def preprocessing_fn(inputs: Mapping[str, RawColumn], custom_config: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Maps raw columns to transformed features and the label.

    Args:
        inputs: Raw columns of N rows, sparse where the schema leaves the shape open, else of shape [N, 1].
        custom_config: Holds ``problem``, as returned by :meth:`models.features.Problem.to_config`.

    Returns:
        One tensor per feature, named as in :meth:`models.features.Features.tensor_name`, with the dtype and width in
        :data:`models.features.FEATURE_KINDS`, and the label: int64 [N, 1] for classes or float32 [N, 1] for a
        regression. For a scaled label, also the target of the network, float32 [N, 1], and the constants of the
        scaling, float32 [N, 4]. See :mod:`models.label_scaling`. For a problem with weights, also those, float32
        [N, 1], with a mean of 1 over the train split.
    """
    problem = Problem.from_config(custom_config["problem"])
    features = problem.features
    # From here on, columns have their names in TensorFlow's graphs.
    tensors = as_columns({name: inputs[column] for column, name in features.tensor_names.items()})
    specs = {kind: _by_tensor_name(features, kind) for kind in TRANSFORMS}
    numeric = dict.fromkeys(name for kind in NUMERIC_KINDS for name in specs[kind])
    columns = RawColumns(tensors, _numbers({name: tensors[name] for name in numeric}))
    outputs: dict[str, tf.Tensor] = {}
    for kind, transform in TRANSFORMS.items():
        outputs |= transform(specs[kind], columns)
    # The label has to depend on its own columns only.
    outputs[problem.label_tensor] = _label(problem, {name: as_column(inputs[name]) for name in problem.label.columns})
    if problem.weight and problem.weight_tensor:
        outputs[problem.weight_tensor] = _weights(as_column(inputs[problem.weight]))
    if problem.has_scaled_label:
        rows = tf.shape(next(iter(tensors.values())))[0]  # of a feature, since a request has no label
        outputs |= _scaled_label(problem, outputs[problem.label_tensor], rows)
    return outputs


def categorical_sizes(features: Features, transform_output: tft.TFTransformOutput) -> dict[str, int]:
    """Number of indices of each transformed categorical feature, including the index for a missing value."""
    return {
        named(kind, name): size(spec, named(kind, name), transform_output)
        for kind, size in SIZES.items()
        for name, spec in _by_tensor_name(features, kind).items()
    }


def _by_tensor_name(features: Features, kind: Kind) -> dict[str, Any]:
    """Settings of the columns of one kind, by the name of the column in TensorFlow's graphs."""
    return {features.tensor_names[column]: spec for column, spec in getattr(features, kind).items()}


def as_column(values: RawColumn) -> tf.Tensor:
    """Returns ``values`` as a dense [N, 1] tensor that holds the placeholder of its dtype where a value is missing.

    Args:
        values: Sparse with at most one value per row, or dense [N, 1], as float32, int64 or string.
    """
    return as_columns({"": values})[""]


def as_columns(columns: Mapping[str, RawColumn]) -> dict[str, tf.Tensor]:
    """Applies :func:`as_column` to columns with the same number of rows.

    A wide table needs as few operators per column as possible: each is traced, saved and loaded many times.
    """
    sparse = [values for values in columns.values() if isinstance(values, tf.SparseTensor)]
    shape = tf.stack([sparse[0].dense_shape[0], 1]) if sparse else None
    missing = {dtype: tf.constant(MISSING[dtype], dtype) for dtype in {values.dtype for values in sparse}}
    return {
        name: tf.sparse.to_dense(tf.SparseTensor(values.indices, values.values, shape), missing[values.dtype])
        if isinstance(values, tf.SparseTensor)
        else tf.reshape(values, [-1, 1])
        for name, values in columns.items()
    }


def is_present(values: tf.Tensor) -> tf.Tensor:
    """Boolean mask of the values (float32, int64 or string) that are not the placeholder of their dtype."""
    if values.dtype.is_floating:
        return tf.math.is_finite(values)
    return tf.not_equal(values, MISSING[values.dtype])


def _by_column(kind: Kind, transform: Callable[[Any, tf.Tensor, str], tf.Tensor]) -> Transform:
    """Applies a function of the settings, the column [N, 1] and the transformed feature's name to each column."""

    def transform_all(specs: Mapping[str, Any], columns: RawColumns) -> dict[str, tf.Tensor]:
        return {
            named(kind, column): transform(spec, columns.values[column], named(kind, column))
            for column, spec in specs.items()
        }

    return transform_all


def _dense(specs: Mapping[str, Dense], columns: RawColumns) -> dict[str, tf.Tensor]:
    """Scales all columns with the same ``scale`` together, since an analyzer costs a second of Beam at any width."""
    scalers: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
        "z_score": lambda matrix: tft.scale_to_z_score(matrix, elementwise=True),
        "min_max": _scale_to_range,
        "none": tf.identity,
    }
    logged = {name: columns.numbers[name] for name, spec in specs.items() if spec.log}
    numbers = {**columns.numbers, **_together(_logarithm, logged)}
    outputs = {}
    for scale, scaler in scalers.items():
        names = [column for column, spec in specs.items() if spec.scale == scale]
        if names:
            matrix = tf.concat([numbers[name] for name in names], axis=1)
            scaled = scaler(matrix)
            # A number too far from the analyzed ones overflows. It becomes 0, as a missing one does.
            scaled = tf.where(tf.math.is_finite(matrix) & tf.math.is_finite(scaled), scaled, 0.0)
            outputs.update(_split(scaled, [named("dense", name) for name in names]))
    return outputs


def _scale_to_range(matrix: tf.Tensor) -> tf.Tensor:
    """Scales columns to 0 .. 1 over their known values. TFT's own scaler cannot handle a column with a NaN."""
    known = tf.math.is_finite(matrix)
    smallest = tft.min(tf.where(known, matrix, math.inf), reduce_instance_dims=False)
    largest = tft.max(tf.where(known, matrix, -math.inf), reduce_instance_dims=False)
    return tf.math.divide_no_nan(matrix - smallest, largest - smallest)


def _logarithm(numbers: tf.Tensor) -> tf.Tensor:
    return tf.sign(numbers) * _in_float64(tf.math.log1p, tf.abs(numbers))


def _in_float64(function: Callable[[tf.Tensor], tf.Tensor], numbers: tf.Tensor) -> tf.Tensor:
    """Computes ``function`` in float64 and rounds to float32.

    TensorFlow computes most rows of a batch with vector instructions and the last few without. The two differ in the
    last bit of a logarithm or a sine, so in float32 a row's value would depend on its position in the batch.
    """
    return tf.cast(function(tf.cast(numbers, tf.float64)), tf.float32)


def _bucketed(specs: Mapping[str, Bucketed], columns: RawColumns) -> dict[str, tf.Tensor]:
    """Computes the quantiles of all columns with the same number of buckets together."""
    outputs = {}
    for buckets in sorted({spec.buckets for spec in specs.values()}):
        names = [column for column, spec in specs.items() if spec.buckets == buckets]
        matrix = tf.concat([columns.numbers[name] for name in names], axis=1)
        boundaries = tft.quantiles(matrix, buckets, QUANTILE_ERROR, reduce_instance_dims=False)
        present = tf.math.is_finite(matrix)
        known = tf.where(present, matrix, 0.0)
        pairs = zip(tf.split(known, len(names), axis=1), tf.split(boundaries, len(names)), strict=True)
        found = [tft.apply_buckets(column, bounds) for column, bounds in pairs]
        indices = tf.where(present, tf.concat(found, axis=1) + 1, 0)
        outputs.update(_split(indices, [named("bucketed", name) for name in names]))
    return outputs


def _integer(spec: Integer, values: tf.Tensor, _name: str) -> tf.Tensor:
    in_range = (values >= spec.min) & (values <= spec.max)
    indices = tf.where(in_range, values - spec.min + 1, spec.max - spec.min + 2)
    return tf.where(is_present(values), indices, 0)


def _vocabulary(specs: Mapping[str, Vocabulary], columns: RawColumns) -> dict[str, tf.Tensor]:
    """Analyzes all columns together."""
    from models.vocabularies import Column, vocabulary_files  # noqa: PLC0415 - with Beam, which training does not need

    def analyzed(values: tf.Tensor, spec: Vocabulary) -> Column:
        if values.dtype == tf.string:
            return Column(values, is_integer=False, spec=spec)
        words = tf.where(is_present(values), tf.strings.as_string(values), MISSING[tf.string])
        return Column(words, is_integer=True, spec=spec)

    names = {named("vocabulary", column): column for column in specs}
    files = vocabulary_files({name: analyzed(columns.values[column], specs[column]) for name, column in names.items()})
    outputs = {}
    for name, column in names.items():
        values = columns.values[column]
        indices = tft.apply_vocabulary(values, files[name], num_oov_buckets=specs[column].oov_buckets)
        outputs[name] = tf.where(is_present(values), indices + 1, 0)
    return outputs


def _hashed(spec: Hashed, values: tf.Tensor, _name: str) -> tf.Tensor:
    text = values if values.dtype == tf.string else tf.strings.as_string(values)
    indices = tf.strings.to_hash_bucket_fast(text, spec.buckets)
    return tf.where(is_present(values), indices + 1, 0)


def _cyclical(spec: Cyclical, values: tf.Tensor, _name: str) -> tf.Tensor:
    # Take the remainder before rounding, since a float32 cannot hold seconds since 1970.
    present = is_present(values)
    known = tf.where(present, values, tf.constant(0, values.dtype))
    exact = known.dtype == tf.int64 and spec.period.is_integer() and spec.period < tf.int64.max
    period = tf.constant(int(spec.period), tf.int64) if exact else tf.constant(spec.period, tf.float64)
    remainder = tf.math.floormod(tf.cast(known, period.dtype), period)
    angle = tf.cast(remainder, tf.float64) * (2 * math.pi / spec.period)
    circle = tf.cast(tf.concat([tf.sin(angle), tf.cos(angle)], axis=1), tf.float32)
    return tf.where(present, circle, 0.0)


def _numbers(columns: Columns) -> dict[str, tf.Tensor]:
    """``columns`` as float32 [N, 1], with NaN where a value is missing or infinite."""
    outputs: dict[str, tf.Tensor] = {}
    for dtype in (tf.float32, tf.int64):
        outputs |= _together(_known_numbers, {name: each for name, each in columns.items() if each.dtype == dtype})
    return outputs


def _known_numbers(values: tf.Tensor) -> tf.Tensor:
    return tf.where(is_present(values), tf.cast(values, tf.float32), math.nan)


def _together(function: Callable[[tf.Tensor], tf.Tensor], columns: Columns) -> dict[str, tf.Tensor]:
    """Applies a function of single values to columns [N, 1] of one dtype, with the operators of one column."""
    if not columns:
        return {}
    return _split(function(tf.concat(list(columns.values()), axis=1)), list(columns))


def _split(matrix: tf.Tensor, names: list[str]) -> dict[str, tf.Tensor]:
    return dict(zip(names, tf.split(matrix, len(names), axis=1), strict=True))


# The kinds of features that read numbers, rather than the raw values.
NUMERIC_KINDS: tuple[Kind, ...] = ("dense", "bucketed")
TRANSFORMS: Mapping[Kind, Transform] = {
    "dense": _dense,
    "bucketed": _bucketed,
    "integer": _by_column("integer", _integer),
    "vocabulary": _vocabulary,
    "hashed": _by_column("hashed", _hashed),
    "cyclical": _by_column("cyclical", _cyclical),
}
# The number of indices of each kind of categorical feature: a function of its settings, its name and the graph.
SIZES: Mapping[Kind, Callable[[Any, str, tft.TFTransformOutput], int]] = {
    "bucketed": lambda spec, _name, _graph: spec.buckets + 1,
    "integer": lambda spec, _name, _graph: spec.max - spec.min + 3,
    "vocabulary": lambda spec, name, graph: graph.vocabulary_size_by_name(name) + spec.oov_buckets + 1,
    "hashed": lambda spec, _name, _graph: spec.buckets + 1,
}


def _label(problem: Problem, values: Columns) -> tf.Tensor:
    label = problem.label
    column = values[label.column]
    if problem.task == "regression":
        return tf.cast(column, tf.float32)
    if label.above is not None:
        return _above(label, values)
    return _class_index(column, problem.class_names)


def _weights(column: tf.Tensor) -> tf.Tensor:
    weights = tf.cast(column, tf.float64)
    return tf.cast(tf.math.divide_no_nan(weights, tft.mean(weights)), tf.float32)


def _scaled_label(problem: Problem, label: tf.Tensor, rows: tf.Tensor) -> dict[str, tf.Tensor]:
    """The target of the network [N, 1], and the constants that it was made with [N, 4]."""
    numbers = tf.cast(label, tf.float64)
    if problem.label.log:
        numbers = tf.sign(numbers) * tf.math.log1p(tf.abs(numbers))
    zero, one = tf.constant(0, tf.float64), tf.constant(1, tf.float64)
    mean, std, low, high = zero, one, zero, zero
    if problem.label.scale != "none":
        mean, variance = tft.mean(numbers), tft.var(numbers)
        std = tf.where(variance > 0, tf.sqrt(variance), one)
    if problem.label.log:
        ends = tft.max(tf.concat([-numbers, numbers], axis=1), reduce_instance_dims=False)
        low, high = -ends[0], ends[1]
    constants = tf.cast(tf.stack([mean, std, low, high]), tf.float32)
    return {
        problem.target_tensor: tf.cast((numbers - mean) / std, tf.float32),
        problem.scaling_tensor: tf.tile(constants[tf.newaxis], [rows, 1]),
    }


def _above(label: Label, values: Columns) -> tf.Tensor:
    assert label.above is not None
    threshold: tf.Tensor | float | None = label.above.value
    if label.above.of is not None:
        threshold = label.above.fraction * tf.cast(values[label.above.of], tf.float32)
    return tf.cast(tf.cast(values[label.column], tf.float32) > threshold, tf.int64)


def _class_index(values: tf.Tensor, names: tuple[str, ...]) -> tf.Tensor:
    """Class of each value as int64 [N, 1], or -1 if it is not the value of a class."""
    known = text_values(names) if values.dtype == tf.string else numeric_values(names)
    matches = tf.equal(values, tf.constant([list(known)], values.dtype))
    found = tf.reduce_any(matches, axis=1, keepdims=True)
    place = tf.argmax(tf.cast(matches, tf.int32), axis=1)[:, tf.newaxis]
    index = tf.gather(tf.constant(list(known.values()), tf.int64), place)
    return tf.where(found, index, -tf.ones_like(index))
