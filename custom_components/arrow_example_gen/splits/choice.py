"""Chooses the way to split from a node's settings."""

import os
from collections.abc import Iterable, Sequence

from custom_components.arrow_example_gen.formats.files import TableError
from custom_components.arrow_example_gen.splits.column_split import ColumnSplit
from custom_components.arrow_example_gen.splits.hash_split import HashSplit, WithTestTable
from custom_components.arrow_example_gen.splits.settings import SplitBy, parse_gap
from custom_components.arrow_example_gen.splits.strategy import Assignment, NumberedFile, Strategy
from custom_components.arrow_example_gen.splits.time_split import TimeSplit
from custom_components.arrow_example_gen.table import Table
from custom_components.shared.label_rows import LabelRows
from custom_components.shared.split_hash import Split


def strategy_of(by: SplitBy, split: Split, labels: LabelRows | None = None) -> Strategy | HashSplit | WithTestTable:
    """The way to split: an assignment if it needs to know nothing about the rows, or else a strategy."""
    if by.time:
        return TimeSplit(by.time, parse_gap(by.gap), split.names, split.weights, by.required, labels)
    if by.column:
        return ColumnSplit(by.column, split, by.required, labels)
    if by.test:
        last = len(split.names) - 1
        return WithTestTable(HashSplit(split.first(last)), last)
    return HashSplit(split)


def decide(strategy: Strategy, files: Iterable[NumberedFile], table: Table) -> Assignment:
    """Decides from all rows, in this process.

    Raises:
        TableError: The table cannot be split.
    """
    return strategy.decide((part for file in files for part in strategy.survey(file, table)), table)


def numbered_files(table: Sequence[str], test: Sequence[str] = ()) -> list[NumberedFile]:
    """The files of a table, and after them those of the table for testing.

    Raises:
        TableError: A file is in both.
    """
    both = sorted({os.path.normpath(path) for path in table} & {os.path.normpath(path) for path in test})
    if both:
        raise TableError(
            f"data.test_path: {both[0]} is also a file of the table; expected other files: set data.pattern so that it "
            "leaves out the test table"
        )
    paths = [*table, *test]
    return [NumberedFile(number, path, number >= len(table)) for number, path in enumerate(paths)]
