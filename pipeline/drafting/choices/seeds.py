"""Chooses the seed of the split of a small table, so that no split lacks a class or is empty."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa

from custom_components.arrow_example_gen.encoding import encode, to_bytes
from custom_components.arrow_example_gen.splits.hash_split import split_columns
from custom_components.arrow_example_gen.table import Columns, Table, merge_types
from custom_components.shared.split_hash import Split
from pipeline.drafting.choices.target import Target
from pipeline.drafting.table.columns import Column
from pipeline.drafting.table.location import Files

MAX_ROWS = 20_000  # of a table that is hashed with several seeds
SEEDS = 50
FEW = 20  # expected rows of the rarest class in the smallest split; with more, it practically never has none
COMMON = 8  # rows of one of many classes from which on it should be in every split


def choose_seed(
    files: Files,
    columns: Sequence[Column],
    target: Target,
    sizes: Mapping[str, int],
    key: str | None,
    missing_values: Sequence[str],
) -> int:
    """Returns the first seed with which each split has rows of each class that is not too rare, or of most of them.

    Args:
        files: The files of the table.
        columns: All columns, with the types of the schema.
        target: The label.
        sizes: Relative size of each split.
        key: Column whose value decides the split, or ``None``.
        missing_values: Cells that mean a missing value.
    """
    if not _is_risky(target, sizes, key):
        return 0
    types = {column.name: str(column.type) for column in columns}
    table = Table.of(files.source.format, files.paths[0], types, missing_values, files.source.dialect)
    if table.columns is None:  # records
        return 0
    batches = list(_labeled(table, files.paths, target.column.name))
    labels = [label for columns, _ in batches for label in _labels(columns[target.column.name], target)]
    rows = Counter(labels)
    common = {label for label, count in rows.items() if count >= COMMON or target.task == "binary"}
    needed = common or set(rows)
    best, most = 0, 0
    for seed in range(SEEDS):
        split = Split(tuple(sizes), tuple(itertools.accumulate(sizes.values())), seed, key)
        chosen = [index for columns, encoded in batches for index in split_columns(columns, encoded, split)]
        found = sum(label in needed for _, label in set(zip(chosen, labels, strict=True)))
        if found > most:
            best, most = seed, found
        if most == len(sizes) * len(needed):
            break
    return best


def _is_risky(target: Target, sizes: Mapping[str, int], key: str | None) -> bool:
    """Whether a split of a table that is not too large may lack a class by chance."""
    rarest = min(target.classes.values(), default=target.column.present)
    expected = rarest * min(sizes.values()) / sum(sizes.values())
    return target.column.rows <= MAX_ROWS and (key is not None or expected < FEW)


def _labeled(table: Table, paths: Sequence[str], label: str) -> list[tuple[Columns, list[bytes]]]:
    """The rows with a label, as columns and as the tf.Examples that ExampleGen writes."""
    types, found = merge_types(map(table.infer_types, paths)), []
    for path in paths:
        before = 0
        for batch in table.read(path):
            assert isinstance(batch, pa.RecordBatch)
            columns = table.to_columns(batch, types, path, before)
            labeled = columns[label].is_valid()
            columns = {name: column.filter(labeled) for name, column in columns.items()}
            found.append((columns, to_bytes(encode(columns))))
            before += len(batch)
    return found


def _labels(column: pa.Array, target: Target) -> list[object]:
    """What a split must have: the class of each row, or for a regression any row."""
    return list(column.to_pylist()) if target.classes else [None] * len(column)
