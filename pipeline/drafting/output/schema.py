"""Drafts the curated schema of a table."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from custom_components.arrow_example_gen.formats.csv_types import INT64
from pipeline.drafting.table.columns import Column

PRESENCE_MARGIN = 0.05  # of the rows: more of them may lack a value than in the table
RANGE_MARGIN = 0.5  # of a column's range: how far numbers may lie outside of it
DOMAIN_MASS = 0.95  # of the values that have to be among those of the table
MAX_DOMAIN = 100  # distinct values of a column whose values are listed
SIGMAS = 4  # of the share of missing values in a split
DRIFT = 0.1  # distance between two large tables from which on it is drift or skew
MAX_DRIFT = 0.5
HEADER = """\
# Drafted from {rows:,} rows. It decides which data the pipeline refuses. Review it, and tighten what you know better.
# presence: columns without missing values must stay so; in others, {presence:.0%} more of the rows may lack a value.
# domains: at least {mass:.0%} of the values of a column have to be listed. Labels have to be listed without exception.
# ranges: numbers may lie outside of the range of the table by {range:.0%} of it, but stay positive if all of them are.
# drift_comparator, skew_comparator: the largest distance between two tables that is not reported.
"""


def draft_schema(
    columns: Iterable[Column],
    rows: int,
    classes: Mapping[str, tuple[str, ...]] | None = None,
    unlabeled: int = 0,
    is_random: bool = True,
    weights: Collection[str] = (),
) -> str:
    """Drafts a schema.

    Args:
        columns: The columns of the table.
        rows: Its number of rows.
        classes: Classes by column of a label.
        unlabeled: Rows without a label, which are left out before the data is compared with the schema.
        is_random: Whether rows are split at random. Otherwise, a split can lack any number of values.
        weights: Columns of weights, which must be numbers in each row.

    Returns:
        A ``tensorflow_metadata.v0.Schema`` as text, with a comment that states its margins.
    """
    schema = schema_pb2.Schema()
    for column in columns:
        labels = (classes or {}).get(column.name)
        if labels is None:
            schema.feature.append(_feature(column, rows, unlabeled if is_random else rows))
            if column.name in weights and column.type == "FLOAT":
                schema.feature[-1].float_domain.disallow_nan = True
        else:
            schema.feature.append(_label(column, labels, rows))
    header = HEADER.format(rows=rows, presence=PRESENCE_MARGIN, mass=DOMAIN_MASS, range=RANGE_MARGIN)
    return header + text_format.MessageToString(schema, as_utf8=True)


def _feature(column: Column, rows: int, left_out: int) -> schema_pb2.Feature:
    feature = schema_pb2.Feature(name=column.name, type=schema_pb2.FeatureType.Value(column.type))
    if column.lists and not column.lists.separator:
        feature.value_count.min = 1
    else:
        feature.value_count.max = 1
    _require_presence(feature, column, rows, left_out)
    if column.form in ("list", "empty"):
        return feature
    if column.type == "BYTES":
        _limit_texts(feature, column)
    elif column.form != "date":  # later dates are no anomaly
        _limit_numbers(feature, column)
    return feature


def _limit_texts(feature: schema_pb2.Feature, column: Column) -> None:
    if column.form not in ("category", "constant") or not column.is_text or column.values is None:
        return
    if len(column.values) > MAX_DOMAIN:
        return
    feature.string_domain.value.extend(sorted(column.values))
    feature.distribution_constraints.min_domain_mass = DOMAIN_MASS
    for comparator in (feature.drift_comparator, feature.skew_comparator):
        comparator.infinity_norm.threshold = _drift(column.present)


def _limit_numbers(feature: schema_pb2.Feature, column: Column) -> None:
    if column.min <= column.max and column.is_finite:
        low, high = widened(column.min, column.max)
        if column.type == "INT":
            feature.int_domain.min = max(math.floor(low), INT64.start + 1)
            feature.int_domain.max = min(math.ceil(high), INT64.stop - 1)
        else:
            feature.float_domain.min, feature.float_domain.max = low, high
    for comparator in (feature.drift_comparator, feature.skew_comparator):
        comparator.jensen_shannon_divergence.threshold = _drift(column.present)


def _label(column: Column, classes: tuple[str, ...], rows: int) -> schema_pb2.Feature:
    """The label, whose only values are the classes. If the table has rows without a label, they are left out."""
    feature = schema_pb2.Feature(name=column.name, type=schema_pb2.FeatureType.Value(column.type))
    feature.value_count.max = 1
    _require_presence(feature, column, rows, 0)
    numbers = sorted(map(int, classes)) if column.type == "INT" and classes else []
    if column.type == "BYTES":
        feature.string_domain.value.extend(classes)
    elif numbers and numbers[-1] - numbers[0] < len(numbers):
        feature.int_domain.min, feature.int_domain.max = numbers[0], numbers[-1]
    elif column.type == "FLOAT" and not column.missing:
        feature.float_domain.disallow_nan = True
    return feature


def _require_presence(feature: schema_pb2.Feature, column: Column, rows: int, left_out: int) -> None:
    """Requires values in a share of the rows, even if all rows that are left out have one."""
    present = 1.0
    if column.missing:
        present = max(column.present - left_out, 0) / max(rows - left_out, 1)
        margin = PRESENCE_MARGIN + SIGMAS * math.sqrt(present * (1 - present) / max(rows / 10, 1))
        present = math.floor(100 * (present - margin)) / 100
    if present > 0:
        feature.presence.min_fraction = present
        feature.presence.min_count = 1


def widened(low: float, high: float) -> tuple[float, float]:
    """A range with the margin on both sides, which does not go below zero if the range does not.

    >>> widened(0.0, 100.0), widened(-10.0, 10.0)
    ((0.0, 150.0), (-20.0, 20.0))
    """
    margin = (high - low) * RANGE_MARGIN or max(abs(high), 1.0) * RANGE_MARGIN
    lower = low - margin if low < 0 else max(low - margin, 0.0)
    return _rounded(lower, math.floor), _rounded(high + margin, math.ceil)


def _rounded(number: float, towards: Callable[[float], int]) -> float:
    """A number with three digits, rounded away from the range."""
    if number == 0 or not math.isfinite(number):
        return number
    unit = 10.0 ** (math.floor(math.log10(abs(number))) - 2)
    return float(f"{towards(number / unit) * unit:.12g}")


def _drift(rows: int) -> float:
    """The distance that is drift. With few rows, two halves of one table differ by chance."""
    return round(min(DRIFT + 2 / math.sqrt(max(rows, 1)), MAX_DRIFT), 2)
