"""Batches of transformed examples for training, and what the Transform graph knows of the label."""

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_transform as tft

from models.features import Problem, transformed_name

SHUFFLED_RECORDS = 100_000
MOST_BYTES_IN_MEMORY = 64 << 20  # compressed


def input_fn(
    file_patterns: Sequence[str],
    transform_output: tft.TFTransformOutput,
    problem: Problem,
    batch_size: int,
    shuffle_seed: int | None = None,
) -> tf.data.Dataset:
    """Reads transformed examples.

    Args:
        file_patterns: Patterns of gzipped TFRecord files, as TFX writes them.
        transform_output: The Transform graph that wrote them.
        problem: Names the features and the label.
        batch_size: Rows in a batch.
        shuffle_seed: Repeats for ever in a random order made from this seed; ``None`` reads once, in order.

    Returns:
        Batches of ``(features, label)``: features by transformed name, each [batch, width], and the label
        [batch, 1].
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
    records = tf.data.TFRecordDataset(files, compression_type="GZIP", num_parallel_reads=None)
    if shuffle_seed is not None:
        small = sum(tf.io.gfile.stat(path).length for path in files) <= MOST_BYTES_IN_MEMORY
        records = (records.cache() if small else records).shuffle(SHUFFLED_RECORDS, seed=shuffle_seed).repeat()
    return records.batch(batch_size).map(parse, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


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


def _two_dimensional(column: tf.Tensor) -> tf.Tensor:
    return column if column.shape.rank == 2 else tf.expand_dims(column, 1)
