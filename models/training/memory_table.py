"""Transformed rows in memory."""

from collections.abc import Sequence
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
