"""Finds columns that identify what several rows are about, such as a patient with one row per visit."""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.drafting.table.columns import Column
from pipeline.drafting.table.forms import names_rows

MIN_GROUPS = 10
REPEATED = 0.5  # of the rows whose value is in other rows, too
_ENTITY = re.compile(
    r"(?:^|[^a-z])(?:subject|patient|person|individual|participant|respondent|user|customer|client|member|household"
    r"|family|student|pupil|animal|player|firm)"
    r"(?:s|[^a-z]*(?:no|nr|num|number|code))?$",
    re.I,
)


def find_groups(columns: Iterable[Column], label: str) -> list[str]:
    """Columns whose values identify groups of rows, which a random split would spread over the splits.

    Their name says so, or they are texts that each are in the same number of rows, as in a balanced panel.
    """
    return [each.name for each in columns if each.name != label and _identifies(each) and _repeats(each)]


def _identifies(column: Column) -> bool:
    if column.form not in ("number", "category", "identifier") or column.type == "FLOAT":
        return False
    return names_rows(column.name) or bool(_ENTITY.search(column.name)) or _is_balanced(column)


def _repeats(column: Column) -> bool:
    counts = _counts(column)
    return len(counts) >= MIN_GROUPS and sum(each for each in counts if each > 1) >= REPEATED * sum(counts)


def _is_balanced(column: Column) -> bool:
    return column.type == "BYTES" and len(set(_counts(column))) == 1


def _counts(column: Column) -> Sequence[int]:
    """Rows by value, of all rows or of the sample."""
    if column.values is not None:
        return list(column.values.values())
    codes = column.codes
    return list(np.bincount(codes[codes >= 0]).tolist())
