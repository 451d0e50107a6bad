"""Finds columns that identify what several rows are about, such as a patient with one row per visit."""

import re
from collections.abc import Iterable

import numpy as np

from pipeline.drafting.table.columns import REPEATED, Column
from pipeline.drafting.table.forms import names_rows

MIN_GROUPS = 10
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
    return [each.name for each in columns if each.name != label and _repeats(each) and _identifies(each)]


def _identifies(column: Column) -> bool:
    if column.form not in ("number", "category", "identifier") or column.type == "FLOAT":
        return False
    return names_rows(column.name) or bool(_ENTITY.search(column.name)) or _is_balanced(column)


def _repeats(column: Column) -> bool:
    return column.distinct >= MIN_GROUPS and column.repetition >= REPEATED


def _is_balanced(column: Column) -> bool:
    if column.type != "BYTES" or not column.is_exact:
        return False
    counts = np.bincount(column.codes[column.codes >= 0]).tolist() if column.values is None else column.values.values()
    return len(set(counts)) == 1
