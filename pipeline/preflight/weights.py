"""Checks the column with the weights of the rows."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from tensorflow_metadata.proto.v0 import schema_pb2

from custom_components.arrow_example_gen.formats.files import TableError, shown
from custom_components.arrow_example_gen.table import Table
from custom_components.shared.label_rows import first_values
from pipeline.config.errors import ConfigError
from pipeline.config.settings import Config
from pipeline.preflight.domains import FLOAT, INT, feature_of


def check_weight_column(config: Config, schema: schema_pb2.Schema, settings: Path) -> None:
    """Requires numbers in all rows, so that the anomaly gate stops any other weight.

    Args:
        config: The settings.
        schema: The curated schema, which has the column.
        settings: The YAML file, for errors.

    Raises:
        ConfigError: The column has no numbers, or the schema allows rows without one.
    """
    column = config.data.weight_column
    if column is None:
        return
    feature, key = feature_of(schema, column), f"{settings}: data.weight_column"
    if feature.type not in (INT, FLOAT):
        found = schema_pb2.FeatureType.Name(feature.type)
        raise ConfigError(f"{key}: the schema has type {found} for '{column}'; expected INT or FLOAT")
    if feature.presence.min_fraction < 1:
        raise ConfigError(
            f"{key}: the schema allows missing values in '{column}'; expected presence {{ min_fraction: 1.0 }}, since "
            "a row without a weight cannot be weighted"
        )
    if feature.type == FLOAT and not feature.float_domain.disallow_nan:
        raise ConfigError(f"{key}: the schema allows NaN in '{column}'; expected float_domain {{ disallow_nan: true }}")


class WeightCheck:
    """Checks the weights of all rows that are used."""

    def __init__(self, column: str | None, table: Table) -> None:
        """Starts with no rows. Without a column, nothing is checked."""
        self._column, self._table = column, table
        self._total = 0.0

    def add(self, batch: pa.RecordBatch, labeled: pa.BooleanArray, path: str, before: int) -> None:
        """Checks a batch.

        Args:
            batch: Rows of a file, as :meth:`custom_components.arrow_example_gen.table.RowChecks.check` returns them.
            labeled: Which of them have a label. The others are not used.
            path: The file, for errors.
            before: Number of rows before these in the file.

        Raises:
            TableError: A weight is negative, infinite, NaN or missing. The message has its line.
        """
        if self._column is None:
            return
        names = [self._column] if self._column in batch.schema.names else []
        columns = self._table.to_columns(batch.select(names), {}, path, before)
        kept = np.asarray(labeled)
        found = first_values(columns[self._column]) if self._column in columns else pa.nulls(len(batch), pa.float64())
        weights = found.cast(pa.float64()).to_numpy(zero_copy_only=False)  # NaN where it is missing
        invalid = kept & ~(np.isfinite(weights) & (weights >= 0))
        if invalid.any():
            row = int(np.argmax(invalid))
            value = "no weight" if not found[row].is_valid else f"the weight {weights[row]:g}"
            raise TableError(
                f"{self._table.location(path, before + row + 1)}: column {shown(self._column)}: found {value}; "
                "expected a number of at least 0 (data.weight_column)"
            )
        self._total += float(weights[kept].sum())

    def finish(self) -> None:
        """Checks the sum.

        Raises:
            TableError: All weights are 0.
        """
        if self._column is not None and not self._total > 0:
            raise TableError(
                f"{self._table.first}: column {shown(self._column)}: found only weights of 0; expected some above 0 "
                "(data.weight_column)"
            )
