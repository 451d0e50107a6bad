"""Batches of transformed examples for training, and what the Transform graph knows of the label."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import tensorflow as tf
import tensorflow_transform as tft

from models.features import Problem, transformed_name

MOST_BYTES_IN_MEMORY = 64 << 20  # compressed
MOST_FILES_AT_ONCE = 16
COMPRESSION = "GZIP"
READ_ROWS = 4096
MOST_STEPS_AT_ONCE, MOST_ROWS_AT_ONCE = 16, 65_536
LABEL = ""  # no feature's name

Batch: TypeAlias = tuple[dict[str, tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Order:
    """The order in which training reads, for ever.

    Attributes:
        seed: Gives it.
        rows: Among which the next one is drawn.
        cache: Whether the rows stay in memory, parsed; ``auto`` looks at their size.
        skip: Rows that were read before by a process that was killed; it goes on behind them.
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
    equal_sizes: bool = False,
) -> tf.data.Dataset:
    """Reads transformed examples once, in the order of the files.

    Args:
        file_patterns: Patterns of gzipped TFRecord files, as TFX writes them.
        transform_output: The Transform graph that wrote them.
        problem: Names the features and the label.
        batch_size: Rows in a batch; several workers share each.
        equal_sizes: Whether the last batch is filled up with the first rows, for a graph that is compiled for one size.

    Returns:
        Batches of ``(features, label)``: features by transformed name, each [batch, width], and the label
        [batch, 1].

    Raises:
        ValueError: There are no such files.
    """
    records = tf.data.TFRecordDataset(_files(file_patterns), compression_type=COMPRESSION)
    if equal_sizes:
        rows = _count(_files(file_patterns))
        records = records.repeat().take(-(-rows // batch_size) * batch_size)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    batches = records.batch(batch_size, drop_remainder=equal_sizes)
    parse = _parser(transform_output, problem)
    return batches.map(parse, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE).with_options(options)


class TrainingInput:
    """Transformed examples for ever, in a random order that depends on its seed alone.

    Every worker draws the same order and takes its share of it, so that the rows of a step are the same however many
    workers there are. Rows that stay in memory are parsed once, and each batch is gathered from them, one matrix a
    dtype; others are read from several files in turns, and parsed a batch at a time.

    Attributes:
        steps: Batches that are fetched together, since each fetch costs a small network a tenth of a step.
    """

    def __init__(
        self,
        file_patterns: Sequence[str],
        transform_output: tft.TFTransformOutput,
        problem: Problem,
        batch_size: int,
        order: Order,
    ) -> None:
        """Reads what stays in memory.

        Args:
            file_patterns: As in :func:`input_fn`.
            transform_output: As in :func:`input_fn`.
            problem: As in :func:`input_fn`.
            batch_size: Rows in a batch, over all replicas.
            order: The order.

        Raises:
            ValueError: There are no such files.
        """
        self.steps = max(1, min(MOST_STEPS_AT_ONCE, MOST_ROWS_AT_ONCE // batch_size))
        self._files = _files(file_patterns)
        self._parse = _parser(transform_output, problem)
        self._batch_size = batch_size
        self._order = order
        cached = stay_in_memory(self._files, order.cache)
        self._table = _Table(input_fn(self._files, transform_output, problem, READ_ROWS)) if cached else None
        self._count = self._table.rows if self._table else _count(self._files) if order.skip else 0

    def dataset(self, context: tf.distribute.InputContext) -> tf.data.Dataset:
        """A worker's batches, as many at a time as are fetched together, each of the size of a replica's share.

        ``tf.distribute.Strategy.distribute_datasets_from_function`` takes this function.
        """
        return self._dataset(context, self._order.skip, self.steps)

    def single_batches(self, context: tf.distribute.InputContext) -> tf.data.Dataset:
        """A worker's batches one by one, unpacked; for workers that a coordinator does not tell apart.

        Each begins at another place of the order, which the microsecond gives that it begins in.
        """

        def only(*several: Any) -> Batch:
            return self.batch(several, 0)

        place = tf.cast(tf.timestamp() * 1e6, tf.int64) % self._order.rows
        return self._dataset(context, place, steps=1).map(only)

    def batch(self, several: Any, place: tf.Tensor | int) -> Batch:
        """The features and the label of one of several batches that were fetched together, as in :func:`input_fn`."""
        columns = tf.nest.map_structure(lambda column: column[place], several)
        return self._table.split(columns) if self._table else columns

    def _rows_from(self, skip: tf.Tensor | int) -> tf.data.Dataset:
        """Places in the table, or records: one epoch after the other, each in an order of its own."""
        order = self._order
        epochs, rest = (skip // self._count, skip % self._count) if self._count else (0, skip)

        def epoch(number: tf.Tensor) -> tf.data.Dataset:
            seed = order.seed, number
            rows = tf.data.Dataset.range(self._table.rows) if self._table else _mixed(self._files, seed)
            return _shuffled(rows, order.rows, seed)

        return tf.data.Dataset.range(epochs, tf.int64.max).flat_map(epoch).skip(rest)

    def _dataset(self, context: tf.distribute.InputContext, skip: tf.Tensor | int, steps: int) -> tf.data.Dataset:
        table, pipelines = self._table, context.num_input_pipelines
        rows = self._rows_from(skip)
        if pipelines > 1:
            rows = rows.shard(pipelines, context.input_pipeline_id)
        size = context.get_per_replica_batch_size(self._batch_size)
        read = table.gather if table else self._parse

        replicas = max(1, context.num_replicas_in_sync // pipelines)  # of this worker; each takes an element in turn

        def batches(places: tf.Tensor) -> Any:
            def by_replica(column: tf.Tensor) -> tf.Tensor:
                return tf.transpose(tf.reshape(column, [steps, replicas, size, -1]), [1, 0, 2, 3])

            return tf.nest.map_structure(by_replica, read(places))

        several = rows.batch(steps * replicas * size, drop_remainder=True)
        return several.map(batches, tf.data.AUTOTUNE, deterministic=True).unbatch().prefetch(tf.data.AUTOTUNE)


def stay_in_memory(file_patterns: Sequence[str], cache: str) -> bool:
    """Whether a split's rows are read and parsed once.

    Args:
        file_patterns: As in :func:`input_fn`.
        cache: ``memory``, ``none``, or ``auto``, which looks at the size of the files.

    Raises:
        ValueError: It looks, and there are no such files.
    """
    if cache != "auto":
        return cache == "memory"
    return sum(tf.io.gfile.stat(path).length for path in _files(file_patterns)) <= MOST_BYTES_IN_MEMORY


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


class _Table:
    """All rows in memory, as one matrix a dtype, from which a batch takes one gather each.

    Attributes:
        rows: Their number.
    """

    def __init__(self, batches: tf.data.Dataset) -> None:
        features, label = batches.element_spec
        specs = {**features, LABEL: label}
        dtypes = dict.fromkeys(spec.dtype for spec in specs.values())
        self._names = {dtype: [name for name, spec in specs.items() if spec.dtype == dtype] for dtype in dtypes}
        self._widths = {name: spec.shape[1] for name, spec in specs.items()}
        parts: dict[tf.DType, list[tf.Tensor]] = {dtype: [] for dtype in dtypes}
        for columns, labels in batches:
            row = {**columns, LABEL: labels}
            for dtype, names in self._names.items():
                parts[dtype].append(tf.concat([row[name] for name in names], axis=1))
        self._matrices = {dtype: tf.concat(parts.pop(dtype), axis=0) for dtype in dtypes}  # frees as it goes
        self.rows = len(next(iter(self._matrices.values())))

    def gather(self, places: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return tuple(tf.gather(matrix, places) for matrix in self._matrices.values())

    def split(self, matrices: Sequence[tf.Tensor]) -> Batch:
        columns: dict[str, tf.Tensor] = {}
        for names, matrix in zip(self._names.values(), matrices, strict=True):
            widths = [self._widths[name] for name in names]
            columns.update(zip(names, tf.split(matrix, widths, axis=1), strict=True))
        label = columns.pop(LABEL)
        return columns, label


def _files(patterns: Sequence[str]) -> list[str]:
    files = sorted(path for pattern in patterns for path in tf.io.gfile.glob(pattern))
    if not files:
        raise ValueError(f"found no transformed examples at {list(patterns)}; expected TFRecord files")
    return files


def _parser(transform_output: tft.TFTransformOutput, problem: Problem) -> Callable[[tf.Tensor], Batch]:
    names = [transformed_name(kind, column) for kind, column in problem.features]
    spec = transform_output.transformed_feature_spec()
    wanted = {name: spec[name] for name in (*names, problem.label.name)}

    def parse(records: tf.Tensor) -> Batch:
        columns = tf.io.parse_example(records, wanted)
        label = columns.pop(problem.label.name)
        return {name: _two_dimensional(column) for name, column in columns.items()}, _two_dimensional(label)

    return parse


def _count(files: Sequence[str]) -> int:
    """Number of records, for which files are read and not parsed."""
    records = tf.data.TFRecordDataset(list(files), compression_type=COMPRESSION)
    return int(records.reduce(tf.constant(0, tf.int64), lambda count, _: count + 1))


def _shuffled(rows: tf.data.Dataset, most: int, seed: tuple[int, tf.Tensor]) -> tf.data.Dataset:
    """``Dataset.shuffle``, which takes no tensor for a seed if TensorFlow's global one is 0."""
    variant = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(rows),
        buffer_size=tf.constant(most, tf.int64),
        seed=tf.constant(seed[0], tf.int64),
        seed2=seed[1] + 1,  # two zeros are any seed
        output_types=[rows.element_spec.dtype],
        output_shapes=[rows.element_spec.shape],
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(variant, rows.element_spec)


def _mixed(files: Sequence[str], seed: tuple[int, tf.Tensor]) -> tf.data.Dataset:
    """Records of several files in turns, in an order that does not depend on how fast each is read."""
    paths = _shuffled(tf.data.Dataset.from_tensor_slices(list(files)), len(files), seed)
    return paths.interleave(
        lambda path: tf.data.TFRecordDataset(path, compression_type=COMPRESSION),
        cycle_length=min(len(files), MOST_FILES_AT_ONCE),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def _two_dimensional(column: tf.Tensor) -> tf.Tensor:
    return column if column.shape.rank == 2 else tf.expand_dims(column, 1)
