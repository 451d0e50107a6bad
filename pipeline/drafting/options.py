"""What the command line says about a table."""

import dataclasses
from collections.abc import Collection

from models.problem.problem import Task
from pipeline.drafting.table.location import Given
from pipeline.drafting.table.sample import ROWS


@dataclasses.dataclass(frozen=True)
class Options:
    """What the command line says about the table.

    Attributes:
        given: The files.
        label: Column of the label.
        name: Name of the problem, or ``None`` for the name of the file.
        task: The task, or ``None`` to infer it.
        group: Column whose rows with the same value stay in one split, or ``None``.
        time: Column of times that decides the split, or ``None``.
        weight: Column with the weight of each row, or ``None``.
        leave_out: Columns that are not used.
        categories: Columns whose values are categories, whatever they look like.
        missing_values: Cells that mean a missing value, in addition to those that are found.
        max_rows: Maximum number of rows in the sample.
    """

    given: Given
    label: str
    name: str | None = None
    task: Task | None = None
    group: str | None = None
    time: str | None = None
    weight: str | None = None
    leave_out: Collection[str] = ()
    categories: Collection[str] = ()
    missing_values: Collection[str] = ()
    max_rows: int = ROWS
