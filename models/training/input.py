"""Batches of transformed examples, for training and evaluation."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import tensorflow as tf
import tensorflow_transform as tft

from models.problem.problem import Problem
from models.training.memory_table import Batch, MemoryTable
from models.training.weights import RowWeights

MAX_BYTES_IN_MEMORY = 64 << 20  # compressed
MAX_INTERLEAVED_FILES = 16
COMPRESSION = "GZIP"
UNWEIGHTED = RowWeights()
READ_ROWS = 4096
MAX_FETCHED_STEPS, MAX_FETCHED_ROWS = 16, 65_536


@dataclasses.dataclass(frozen=True)
class RowOrder:
    """The order in which training reads rows, without end.

    Attributes:
        seed: Seed of the order.
        buffer_rows: Size of the shuffle buffer, in rows.
        cache: Whether to keep the parsed rows in memory. ``auto`` depends on their size.
        skip: Number of rows that training read before it was interrupted. It continues after them.
    """

    seed: int
    buffer_rows: int = 100_000
    cache: Literal["auto", "memory", "none"] = "auto"
    skip: int = 0


def input_fn(
    file_patterns: Sequence[str],
    transform_output: tft.TFTransformOutput,
    problem: Problem,
    batch_size: int,
    equal_sizes: bool = False,
    weights: RowWeights = UNWEIGHTED,
) -> tf.data.Dataset:
    """Reads transformed examples once, in the order of the files.

    Args:
        file_patterns: Patterns of gzipped TFRecord files, as TFX writes them.
        transform_output: The Transform graph that wrote them.
        problem: Problem with the features and the label.
        batch_size: Rows per batch, across all workers.
        equal_sizes: Whether to fill up the last batch with the first rows, for a graph compiled for one batch size.
        weights: Weights of the rows.

    Returns:
        Batches of ``(features, label)``: features by transformed name, each [batch, width], and the label
        [batch, 1], or for a regression the target that it was scaled to. If rows are weighted, also their weights
        [batch].

    Raises:
        ValueError: No file matches.
    """
    records = tf.data.TFRecordDataset(matching_files(file_patterns), compression_type=COMPRESSION)
    if equal_sizes:
        rows = _count(matching_files(file_patterns))
        records = records.repeat().take(-(-rows // batch_size) * batch_size)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    batches = records.batch(batch_size, drop_remainder=equal_sizes)
    parse = _parser(transform_output, problem, weights)
    found = batches.map(parse, tf.data.AUTOTUNE)
    if weights != UNWEIGHTED:
        found = found.map(weights.apply, tf.data.AUTOTUNE)
    return found.prefetch(tf.data.AUTOTUNE).with_options(options)


def table_batches(table: MemoryTable, batch_size: int, weights: RowWeights = UNWEIGHTED) -> tf.data.Dataset:
    """Reads the rows of a table once, in order. Batches are those of :func:`input_fn`."""

    def batch(places: tf.Tensor) -> Any:
        return weights.apply(*table.split(table.gather(places)))

    return tf.data.Dataset.range(table.rows).batch(batch_size).map(batch, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def read_table(
    file_patterns: Sequence[str],
    transform_output: tft.TFTransformOutput,
    problem: Problem,
    weights: RowWeights = UNWEIGHTED,
    every: int = 1,
) -> MemoryTable:
    """Reads rows into memory, in the order of the files.

    Args:
        file_patterns: As in :func:`input_fn`.
        transform_output: As in :func:`input_fn`.
        problem: As in :func:`input_fn`.
        weights: As in :func:`input_fn`. The table has their column.
        every: Read every n-th row, starting with the first. 1 reads all rows.

    Raises:
        ValueError: No file matches.
    """
    return MemoryTable(_parsed(matching_files(file_patterns), _parser(transform_output, problem, weights), every))


def count_rows(file_patterns: Sequence[str]) -> int:
    """Number of rows.

    Raises:
        ValueError: No file matches.
    """
    return _count(matching_files(file_patterns))


class TrainingInput:
    """Endless batches of transformed examples, in a random order that depends only on the seed.

    Every worker computes the same order and takes its part of it, so a step has the same rows with any number of
    workers. Rows in memory are parsed once, and each batch is gathered from one matrix per dtype. Otherwise several
    files are read in turn, and parsed batch by batch.

    Attributes:
        steps: Number of batches that are fetched together. A fetch costs a tenth of a step of a small network.
    """

    def __init__(
        self,
        source: Sequence[str] | MemoryTable,
        transform_output: tft.TFTransformOutput,
        problem: Problem,
        batch_size: int,
        order: RowOrder,
        weights: RowWeights = UNWEIGHTED,
    ) -> None:
        """Reads the rows that stay in memory.

        Args:
            source: File patterns as in :func:`input_fn`, or rows that are in memory already.
            transform_output: As in :func:`input_fn`.
            problem: As in :func:`input_fn`.
            batch_size: Global batch size: rows per step, across all replicas.
            order: Order of the rows.
            weights: Weights of the rows.

        Raises:
            ValueError: No file matches.
        """
        self.steps = max(1, min(MAX_FETCHED_STEPS, MAX_FETCHED_ROWS // batch_size))
        self._files = [] if isinstance(source, MemoryTable) else matching_files(source)
        self._weights = weights
        self._parse = _parser(transform_output, problem, weights)
        self._batch_size = batch_size
        self._order = order
        self._table: MemoryTable | None
        if isinstance(source, MemoryTable):
            self._table = source
        else:
            cached = keep_in_memory(self._files, order.cache)
            self._table = MemoryTable(_parsed(self._files, self._parse)) if cached else None
        self._count = self._table.rows if self._table else _count(self._files) if order.skip else 0

    def dataset(self, context: tf.distribute.InputContext) -> tf.data.Dataset:
        """The batches of one worker: :attr:`steps` at a time, each with the rows of one replica.

        ``tf.distribute.Strategy.distribute_datasets_from_function`` takes this function.
        """
        return self._dataset(context, self._order.skip, self.steps)

    def single_batches(self, context: tf.distribute.InputContext) -> tf.data.Dataset:
        """The batches of one worker, one at a time and unpacked, for workers that a coordinator schedules.

        Such workers have no index, so each starts at a different position, derived from the clock in microseconds.
        """

        def unpack(*several: Any) -> Any:
            return self.batch(several, 0)

        place = tf.cast(tf.timestamp() * 1e6, tf.int64) % self._order.buffer_rows
        return self._dataset(context, place, steps=1).map(unpack)

    def batch(self, several: Any, place: tf.Tensor | int) -> Any:
        """Features, label and weights, as in :func:`input_fn`, of one of the batches that were fetched together."""
        columns = tf.nest.map_structure(lambda column: column[place], several)
        features, label = self._table.split(columns) if self._table else columns
        return self._weights.apply(features, label)

    def _rows_from(self, skip: tf.Tensor | int) -> tf.data.Dataset:
        """Indices into the table, or records, in a different order each epoch."""
        order = self._order
        epochs, rest = (skip // self._count, skip % self._count) if self._count else (0, skip)

        def epoch(number: tf.Tensor) -> tf.data.Dataset:
            seed = order.seed, number
            rows = tf.data.Dataset.range(self._table.rows) if self._table else _interleaved(self._files, seed)
            return _shuffled(rows, order.buffer_rows, seed)

        return tf.data.Dataset.range(epochs, tf.int64.max).flat_map(epoch).skip(rest)

    def _dataset(self, context: tf.distribute.InputContext, skip: tf.Tensor | int, steps: int) -> tf.data.Dataset:
        table, pipelines = self._table, context.num_input_pipelines
        rows = self._rows_from(skip)
        if pipelines > 1:
            rows = rows.shard(pipelines, context.input_pipeline_id)
        size = context.get_per_replica_batch_size(self._batch_size)
        read = table.gather if table else self._parse

        replicas = max(1, context.num_replicas_in_sync // pipelines)  # of this worker, which take elements in turn

        def batches(places: tf.Tensor) -> Any:
            def by_replica(column: tf.Tensor) -> tf.Tensor:
                return tf.transpose(tf.reshape(column, [steps, replicas, size, -1]), [1, 0, 2, 3])

            return tf.nest.map_structure(by_replica, read(places))

        several = rows.batch(steps * replicas * size, drop_remainder=True)
        return several.map(batches, tf.data.AUTOTUNE, deterministic=True).unbatch().prefetch(tf.data.AUTOTUNE)


def keep_in_memory(file_patterns: Sequence[str], cache: str) -> bool:
    """Whether to keep the rows of a split in memory.

    Args:
        file_patterns: As in :func:`input_fn`.
        cache: ``memory``, ``none``, or ``auto``, which depends on the size of the files.

    Raises:
        ValueError: ``cache`` is ``auto``, and no file matches.
    """
    if cache != "auto":
        return cache == "memory"
    return sum(tf.io.gfile.stat(path).length for path in matching_files(file_patterns)) <= MAX_BYTES_IN_MEMORY


def matching_files(patterns: Sequence[str]) -> list[str]:
    """The files that match any of the patterns, sorted.

    Raises:
        ValueError: No file matches.
    """
    files = sorted(path for pattern in patterns for path in tf.io.gfile.glob(pattern))
    if not files:
        raise ValueError(f"found no transformed examples at {list(patterns)}; expected TFRecord files")
    return files


def _parsed(files: Sequence[str], parse: Callable[[tf.Tensor], Batch], every: int = 1) -> tf.data.Dataset:
    records = tf.data.TFRecordDataset(list(files), compression_type=COMPRESSION).shard(every, 0)
    return records.batch(READ_ROWS).map(parse, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _parser(
    transform_output: tft.TFTransformOutput, problem: Problem, weights: RowWeights
) -> Callable[[tf.Tensor], Batch]:
    """A function of records. The column of the weights is one of the features until they are applied."""
    spec = transform_output.transformed_feature_spec()
    names = (*problem.features.transformed_names, *([weights.tensor] if weights.tensor else []), problem.target_tensor)
    wanted = {name: spec[name] for name in names}

    def parse(records: tf.Tensor) -> Batch:
        columns = tf.io.parse_example(records, wanted)
        label = columns.pop(problem.target_tensor)
        return {name: _two_dimensional(column) for name, column in columns.items()}, _two_dimensional(label)

    return parse


def _count(files: Sequence[str]) -> int:
    """Number of records, counted without parsing them."""
    records = tf.data.TFRecordDataset(list(files), compression_type=COMPRESSION)
    return int(records.reduce(tf.constant(0, tf.int64), lambda count, _: count + 1))


def _shuffled(rows: tf.data.Dataset, buffer_rows: int, seed: tuple[int, tf.Tensor]) -> tf.data.Dataset:
    """``Dataset.shuffle``, which does not accept a tensor as seed if TensorFlow's global seed is 0."""
    variant = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(rows),
        buffer_size=tf.constant(buffer_rows, tf.int64),
        seed=tf.constant(seed[0], tf.int64),
        seed2=seed[1] + 1,  # two zeros mean a random seed
        output_types=[rows.element_spec.dtype],
        output_shapes=[rows.element_spec.shape],
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(variant, rows.element_spec)


def _interleaved(files: Sequence[str], seed: tuple[int, tf.Tensor]) -> tf.data.Dataset:
    """Records of several files in turn, in an order that does not depend on how fast each is read."""
    paths = _shuffled(tf.data.Dataset.from_tensor_slices(list(files)), len(files), seed)
    return paths.interleave(
        lambda path: tf.data.TFRecordDataset(path, compression_type=COMPRESSION),
        cycle_length=min(len(files), MAX_INTERLEAVED_FILES),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def _two_dimensional(column: tf.Tensor) -> tf.Tensor:
    return column if column.shape.rank == 2 else tf.expand_dims(column, 1)
