"""Transformed rows in memory."""

import copy
from collections.abc import Collection, Sequence
from typing import TypeAlias

import tensorflow as tf

Batch: TypeAlias = tuple[dict[str, tf.Tensor], tf.Tensor]
LABEL = ""  # no feature has this name


class MemoryTable:
    """All rows of a split, as one matrix per dtype, so a batch takes one gather per dtype.

    Attributes:
        rows: Number of rows.
    """

    def __init__(self, batches: tf.data.Dataset) -> None:
        """Reads all rows.

        Args:
            batches: Batches of ``(features, label)``: features by name, each [batch, width], and the label [batch, 1].
        """
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
        self._matrices = {dtype: tf.concat(parts.pop(dtype), axis=0) for dtype in dtypes}  # frees each part in turn
        self.rows = len(next(iter(self._matrices.values())))

    def gather(self, places: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The rows at the given indices, as one matrix per dtype."""
        return tuple(tf.gather(matrix, places) for matrix in self._matrices.values())

    def split(self, matrices: Sequence[tf.Tensor]) -> Batch:
        """Splits one matrix per dtype into features and label."""
        columns: dict[str, tf.Tensor] = {}
        for names, matrix in zip(self._names.values(), matrices, strict=True):
            widths = [self._widths[name] for name in names]
            columns.update(zip(names, tf.split(matrix, widths, axis=1), strict=True))
        label = columns.pop(LABEL)
        return columns, label

    def column(self, name: str) -> tf.Tensor:
        """A column, [rows, width]."""
        [(dtype, names)] = [each for each in self._names.items() if name in each[1]]
        start = sum(self._widths[each] for each in names[: names.index(name)])
        return self._matrices[dtype][:, start : start + self._widths[name]]

    def without(self, names: Collection[str]) -> "MemoryTable":
        """The same rows with 0 in all of the given columns, as in a row that has no value there.

        Matrices without such a column are shared with this table.
        """
        table = copy.copy(self)
        table._matrices = {
            dtype: matrix * self._mask(dtype, names) if set(names) & set(self._names[dtype]) else matrix
            for dtype, matrix in self._matrices.items()
        }
        return table

    def _mask(self, dtype: tf.DType, names: Collection[str]) -> tf.Tensor:
        kept = [tf.fill([self._widths[each]], 0 if each in names else 1) for each in self._names[dtype]]
        return tf.cast(tf.concat(kept, axis=0), dtype)
