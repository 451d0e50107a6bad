"""Batches of transformed examples for training, and what the Transform graph knows of the label."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import tensorflow as tf
import tensorflow_transform as tft

from models.features import Problem, transformed_name

MOST_BYTES_IN_MEMORY = 64 << 20  # compressed
MOST_FILES_AT_ONCE = 16
COMPRESSION = "GZIP"


@dataclasses.dataclass(frozen=True)
class Endless:
    """How training reads: for ever, in a random order.

    Attributes:
        seed: Of the order.
        rows: Among which the next one is drawn.
        cache: Whether the rows stay in memory; ``auto`` looks at their size.
        skip: Rows that were read before, by a process that was killed: the order goes on behind them.
    """

    seed: int
    rows: int = 100_000
    cache: Literal["auto", "memory", "none"] = "auto"
    skip: int = 0


def input_fn(
    file_patterns: Sequence[str],
    transform_output: tft.TFTransformOutput,
    problem: Problem,
    batch_size: int,
    endless: Endless | None = None,
    equal_sizes: bool = False,
) -> tf.data.Dataset:
    """Reads transformed examples.

    Training reads several files at the same time, in an order that does not depend on how fast each is. Under a strategy of
    several workers each takes its share of every batch.

    Args:
        file_patterns: Patterns of gzipped TFRecord files, as TFX writes them.
        transform_output: The Transform graph that wrote them.
        problem: Names the features and the label.
        batch_size: Rows in a batch, over all workers.
        endless: How training reads; ``None`` reads once, in order.
        equal_sizes: Whether the last batch of a single pass is filled up with the first rows, for a graph that is
            compiled for one size.

    Returns:
        Batches of ``(features, label)``: features by transformed name, each [batch, width], and the label
        [batch, 1].

    Raises:
        ValueError: There are no such files.
    """
    names = [transformed_name(kind, column) for kind, column in problem.features]
    spec = transform_output.transformed_feature_spec()
    wanted = {name: spec[name] for name in (*names, problem.label.name)}

    def parse(records: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        columns = tf.io.parse_example(records, wanted)
        label = columns.pop(problem.label.name)
        return {name: _two_dimensional(column) for name, column in columns.items()}, _two_dimensional(label)

    files = sorted(path for pattern in file_patterns for path in tf.io.gfile.glob(pattern))
    if not files:
        raise ValueError(f"found no transformed examples at {list(file_patterns)}; expected TFRecord files")
    records = _mixed(files) if endless else tf.data.TFRecordDataset(files, compression_type=COMPRESSION)
    if endless:
        if endless.cache == "memory" or (endless.cache == "auto" and _fit_in_memory(files)):
            records = records.cache()
        records = records.shuffle(endless.rows, seed=endless.seed).repeat().skip(endless.skip)
    elif equal_sizes:
        rows = int(records.reduce(tf.constant(0, tf.int64), lambda count, _: count + 1))
        records = records.repeat().take(-(-rows // batch_size) * batch_size)
    batches = records.batch(batch_size, drop_remainder=bool(endless) or equal_sizes)
    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.map(parse, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE).with_options(options)


def check_label(files: Sequence[str], transform_output: tft.TFTransformOutput, problem: Problem) -> None:
    """Refuses a training split whose label never changes; stops reading at the first second class.

    Args:
        files: Patterns of the transformed training examples.
        transform_output: The Transform graph that wrote them.
        problem: Names the label.

    Raises:
        ValueError: All rows have the same label, or there are none.
    """
    first, rows = None, 0
    for _, labels in input_fn(files, transform_output, problem, batch_size=1024):
        first = labels[0, 0].numpy() if first is None else first
        if bool(tf.reduce_any(labels != first)):
            return
        rows += len(labels)
    if first is None:
        raise ValueError("the training split has no rows; expected some, so look at data.splits and at the table")
    value = dict(enumerate(problem.class_names)).get(int(first), first)
    raise ValueError(
        f"label '{problem.label.name}' is '{value}' in all of the {rows:,} training rows; a {problem.task} task needs "
        f"at least two values, so look at the column '{problem.label.column}'"
    )


def _mixed(files: Sequence[str]) -> tf.data.Dataset:
    """Records of several files in turns."""
    return tf.data.Dataset.from_tensor_slices(list(files)).interleave(
        lambda path: tf.data.TFRecordDataset(path, compression_type=COMPRESSION),
        cycle_length=min(len(files), MOST_FILES_AT_ONCE),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def _fit_in_memory(files: Sequence[str]) -> bool:
    return sum(tf.io.gfile.stat(path).length for path in files) <= MOST_BYTES_IN_MEMORY


def _two_dimensional(column: tf.Tensor) -> tf.Tensor:
    return column if column.shape.rank == 2 else tf.expand_dims(column, 1)
