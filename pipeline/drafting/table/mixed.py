"""Refuses columns whose cells contradict each other, with the line of the first such cell."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from custom_components.arrow_example_gen.formats.csv_errors import line_of_row
from custom_components.arrow_example_gen.formats.csv_types import NUMBER
from custom_components.arrow_example_gen.formats.file_format import FORMATS
from custom_components.arrow_example_gen.formats.files import name_of, shown
from custom_components.arrow_example_gen.table import Table
from pipeline.drafting.errors import DraftError
from pipeline.drafting.table.columns import Column
from pipeline.drafting.table.counts import ColumnCounts, number_of
from pipeline.drafting.table.forms import day_month_order
from pipeline.drafting.table.location import Files
from pipeline.drafting.table.reading import Read

FEW = 0.02  # of the values: so few texts among numbers are taken for mistakes
FEW_DIFFERENT = 5
FEW_VALUES, REPEATS = 20, 10  # distinct values of a column of categories, and rows of each
MOSTLY = 0.5  # of the values: a column of text with so many numbers gets a warning


def check_cells(
    files: Files,
    read: Read,
    columns: Mapping[str, Column],
    left_out: Collection[str],
    missing_values: Collection[str],
    label: str,
) -> list[str]:
    """Checks the columns of a text file that are not left out.

    Returns:
        One line for each column that is text because of some cells, although most are numbers.

    Raises:
        DraftError: A column has numbers and a few texts, or dates with different orders of day and month.
    """
    if not FORMATS[files.source.format].is_text:
        return []
    mixed = []
    for name, column in columns.items():
        if name not in left_out:
            if not _are_categories(column):
                _check_numbers(files, read.counts[name], missing_values, hint="" if name == label else _leave_out(name))
            if column.form == "date" and column.type == "BYTES":
                _check_dates(files, column)
            elif column.type == "BYTES" and MOSTLY <= _share_of_numbers(column) < 1:
                path, line, cell = _first(files, name, lambda text: _is_word(text, missing_values))
                mixed.append(
                    f"'{name}' is read as text: {_share_of_numbers(column):.0%} of its values are numbers, but line "
                    f"{line} of {name_of(path)} has {shown(cell)}"
                )
    return mixed


def _are_categories(column: Column) -> bool:
    """Whether a column has a few values that all repeat, such as ``1``, ``2`` and ``3+``, rather than a mistake."""
    values = column.values
    return values is not None and len(values) <= FEW_VALUES and min(values.values(), default=0) >= REPEATS


def _leave_out(name: str) -> str:
    return f", or --leave-out {name!r}"


def _check_numbers(files: Files, counts: ColumnCounts, missing_values: Collection[str], hint: str) -> None:
    words = {word: count for word, count in (counts.words or {}).items() if word not in missing_values}
    if not words or len(words) > FEW_DIFFERENT or not sum(words.values()) <= FEW * counts.numbers:
        return
    path, line, cell = _first(files, counts.name, words.__contains__)
    total = counts.numbers + sum(words.values())
    raise DraftError(
        f"{path}: line {line}: column {shown(counts.name)}: found {shown(cell)}; {counts.numbers:,} of {total:,} "
        f"values are numbers: correct the cell, or give --missing-value {cell!r} if it means a missing value{hint}"
    )


def _share_of_numbers(column: Column) -> float:
    texts = column.sample.drop_null()
    return float(pc.mean(pc.match_substring_regex(texts, NUMBER).cast("float64")).as_py() or 0)


def _is_word(text: str, missing_values: Collection[str]) -> bool:
    """Whether a cell is neither a number nor a missing value."""
    return bool(text) and text not in missing_values and number_of(text) is None


def _check_dates(files: Files, column: Column) -> None:
    texts = column.sample.drop_null().value_counts()
    orders: Counter[str] = Counter()
    for text, count in zip(texts.field(0).to_pylist(), texts.field(1).to_pylist(), strict=True):
        if order := day_month_order(text):
            orders[order] += count
    if len(orders) < 2:
        return
    (most, _), (rare, _) = orders.most_common()
    path, line, cell = _first(files, column.name, lambda text: day_month_order(text) == rare)
    raise DraftError(
        f"{path}: line {line}: column {shown(column.name)}: found {shown(cell)}, {rare}, among dates with {most}; "
        f"expected one order: write dates as YYYY-MM-DD, or give --leave-out {column.name!r}"
    )


def _first(files: Files, name: str, test: Callable[[str], bool]) -> tuple[str, int, str]:
    """The file, the line and the text of the first cell that passes a test."""
    table = Table.of(files.source.format, files.paths[0], dialect=files.source.dialect)
    for path in files.paths:
        row = 0
        for batch in table.read(path, only=[name]):
            assert isinstance(batch, pa.RecordBatch)
            for cell in batch.column(name).to_pylist():
                row += 1
                if test(cell):
                    return path, line_of_row(path, row, table.dialect), cell
    raise AssertionError(name)  # the counts have such a cell
