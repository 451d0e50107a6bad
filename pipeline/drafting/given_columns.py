"""Checks the columns that the command line names."""

import re
from collections.abc import Collection, Mapping

from custom_components.arrow_example_gen.formats.csv_types import NUMBER
from custom_components.arrow_example_gen.formats.files import shown
from pipeline.config.errors import unknown_name
from pipeline.drafting.errors import DraftError
from pipeline.drafting.options import Options
from pipeline.drafting.table.columns import Column
from pipeline.drafting.table.location import Files
from pipeline.drafting.table.reading import Read


def check_names(options: Options, read: Read, files: Files) -> None:
    """Checks that the table has all columns that the command line names.

    Raises:
        DraftError: One is missing, or the label has another use, too.
    """
    named = [
        ("label", options.label),
        ("group", options.group),
        ("time", options.time),
        ("weight", options.weight),
        *(("leave-out", each) for each in options.leave_out),
        *(("category", each) for each in options.categories),
    ]
    for option, column in named:
        if column is not None and column not in read.counts:
            unread = next((note for note in read.notes if f"column {shown(column)} is " in note), "")
            if unread and option == "leave-out":
                continue
            if unread:
                raise DraftError(f"{files.paths[0]}: --{option}: {unread}")
            line = unknown_name(f"{files.paths[0]}: --{option}", "column", column, read.counts)
            numbers = sum(re.fullmatch(NUMBER, name) is not None for name in read.counts)
            hint = (
                "; the first line looks like values: expected a line of column names"
                if 2 * numbers > len(read.counts)
                else ""
            )
            raise DraftError(line + hint)
    if options.label in (options.group, options.time, options.weight, *options.leave_out, *options.categories):
        raise DraftError(f"--label: '{options.label}' is named by another option, too; expected only one use of it")


def check_weight(column: Column) -> None:
    """Checks that a column has a weight in each row.

    Raises:
        DraftError: It does not.
    """
    found = ""
    if column.type == "BYTES":
        found = "text"
    elif column.missing:
        found = f"no value in {column.missing:,} of {column.rows:,} rows"
    elif column.min < 0 or not column.is_finite:
        found = f"the weight {column.min:g}" if column.min < 0 else "infinite numbers"
    if found:
        raise DraftError(f"--weight: '{column.name}' has {found}; expected a number of at least 0 in each row")


def check_categories(names: Collection[str], columns: Mapping[str, Column]) -> None:
    """Checks that a category can be drafted for columns that are to be one.

    Raises:
        DraftError: It cannot.
    """
    for name in names:
        found = {"list": "several values per row", "empty": "no value in any row"}.get(columns[name].form)
        if columns[name].type == "FLOAT":
            found = "floats, which the files store as such"
        if found:
            raise DraftError(f"--category: '{name}' has {found}; expected texts or integers")
