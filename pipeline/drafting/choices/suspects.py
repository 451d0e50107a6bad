"""Finds columns that repeat the label or another column, on a sample of the rows."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.drafting.choices.target import Target
from pipeline.drafting.table.columns import Column

BINS = 50
MIN_ROWS = 40
ALMOST_ALL = 0.98  # of the classes or of the variance that one column alone predicts
ERROR_SHARE = 0.2  # of the errors of the majority class that are left
MIN_ERRORS = 5  # of the majority class, from which on fewer are not a coincidence
SEEN = 0.9  # of the rows that are judged: their code is in the rows that were fitted
ORDERED = 0.998  # of the order of the labels
MAX_PAIRS_COLUMNS = 2_000
CORRELATION = 0.9999
SHOWN = 5

Codes = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Suspects:
    """Columns that deserve a second look.

    Attributes:
        copies: For columns that divide the rows exactly as an earlier one does: its name.
        labels: Columns that divide the rows exactly as the label does, or have its numbers.
        leaks: For columns that almost determine the label: how well they do.
        correlated: Pairs of columns of numbers that are almost a linear function of each other.
    """

    copies: dict[str, str]
    labels: list[str]
    leaks: dict[str, str]
    correlated: list[tuple[str, str]]


def find_suspects(columns: Iterable[Column], target: Target) -> Suspects:
    """Compares the columns with the label and with each other."""
    columns = [each for each in columns if each.form in ("number", "category") and each.name != target.column.name]
    copies, labels = _copies(columns, target)
    rest = [each for each in columns if each.name not in copies and each.name not in labels]
    leaks = {each.name: found for each in rest if (found := _leak(each, target))}
    return Suspects(copies, labels, leaks, _correlated([each for each in rest if each.is_number]))


def _copies(columns: Sequence[Column], target: Target) -> tuple[dict[str, str], list[str]]:
    """Columns whose values are those of another one under other names."""
    if not columns or len(columns[0].codes) < MIN_ROWS:
        return {}, []
    label = target.column.codes.tobytes()
    first: dict[bytes, Column] = {}
    copies, labels = {}, []
    for column in columns:
        key = column.codes.tobytes()
        if key == label and (target.classes or _same_numbers(target.column, column)):
            labels.append(column.name)
        elif key in first and (column.type == "BYTES" or _same_numbers(first[key], column)):
            copies[column.name] = first[key].name
        else:
            first.setdefault(key, column)
    return copies, labels


def _same_numbers(first: Column, second: Column) -> bool:
    """Whether two columns have the same numbers, and not only the same pattern of distinct values."""
    both = "BYTES" not in (first.type, second.type)
    return both and bool(np.array_equal(first.numbers, second.numbers, equal_nan=True))


def _leak(column: Column, target: Target) -> str | None:
    """How well a column alone predicts the label of rows that it was not fitted on, if it is too good to be true."""
    known = target.column.codes >= 0
    if known.sum() < MIN_ROWS:
        return None
    first, second = _halves(int(known.sum()))
    found = None
    for codes in _codes(column, known):
        if target.classes:
            labels = target.column.codes[known]
            found = found or _accuracy(codes[first], labels[first], codes[second], labels[second])
        else:
            numbers = target.column.numbers[known]
            found = found or _explained(codes[first], numbers[first], codes[second], numbers[second])
    if found or target.classes or not column.is_number or column.distinct <= BINS:
        return found
    return _ordered(column.numbers[known], target.column.numbers[known])


def _codes(column: Column, known: npt.NDArray[np.bool_]) -> list[Codes]:
    """The values of the rows with a label as codes, and those of many numbers as bins, too. Each code repeats."""
    found = [column.codes[known] + 1]
    if column.is_number and column.distinct > BINS:
        found.append(_bins(column.numbers)[known])
    return [codes for codes in found if len(np.unique(codes)) <= len(codes) / 4]


def _halves(rows: int) -> tuple[Codes, Codes]:
    """Rows to fit on, and others. Alternate ones would divide a table of pairs into the first and the second ones."""
    order = np.random.default_rng(0).permutation(rows)
    return order[: rows // 2], order[rows // 2 :]


def _accuracy(codes: Codes, labels: Codes, other: Codes, rest: Codes) -> str | None:
    width = int(max(labels.max(), rest.max())) + 1
    table = np.zeros((int(max(codes.max(), other.max())) + 1, width), np.int64)
    np.add.at(table, (codes, labels), 1)
    seen = table.sum(axis=1)[other] > 0
    if seen.mean() < SEEN:
        return None
    wrong = (table.argmax(axis=1)[other] != rest)[seen]
    trivially_wrong = int((rest != np.bincount(labels, minlength=width).argmax())[seen].sum())
    right = 1 - float(wrong.mean())
    if right >= ALMOST_ALL and trivially_wrong >= MIN_ERRORS and wrong.sum() <= ERROR_SHARE * trivially_wrong:
        return f"alone it predicts {right:.1%} of the labels"
    return None


def _explained(
    codes: Codes, labels: npt.NDArray[np.float64], other: Codes, rest: npt.NDArray[np.float64]
) -> str | None:
    count = np.bincount(codes, minlength=int(other.max()) + 1)
    mean = np.bincount(codes, labels, len(count)) / np.maximum(count, 1)
    seen = count[other] > 0
    if seen.mean() < SEEN or not rest[seen].var():
        return None
    share = 1 - float(((mean[other] - rest)[seen] ** 2).mean() / rest[seen].var())
    return f"alone it explains {share:.1%} of the label" if share >= ALMOST_ALL else None


def _ordered(numbers: npt.NDArray[np.float64], labels: npt.NDArray[np.float64]) -> str | None:
    both = np.isfinite(numbers) & np.isfinite(labels)
    share = _correlation(_ranks(numbers[both]), _ranks(labels[both])) ** 2 if both.sum() >= MIN_ROWS else 0.0
    return f"alone it explains {share:.1%} of the order of the labels" if share >= ORDERED else None


def _correlated(columns: Sequence[Column]) -> list[tuple[str, str]]:
    columns = columns[:MAX_PAIRS_COLUMNS]
    if len(columns) < 2 or len(columns[0].numbers) < MIN_ROWS:
        return []
    matrix = np.stack([column.numbers for column in columns])
    center = np.where(np.isfinite(matrix), matrix, np.nan)
    with np.errstate(all="ignore"):
        center = np.nan_to_num(center - np.nanmean(center, axis=1, keepdims=True))
        norm = np.sqrt((center**2).sum(axis=1, keepdims=True))
        scaled = np.nan_to_num(np.divide(center, norm, out=np.zeros_like(center), where=norm > 0))
    pairs = np.argwhere(np.triu(np.abs(scaled @ scaled.T) > CORRELATION, 1))
    return [(columns[first].name, columns[second].name) for first, second in pairs.tolist()]


def _bins(numbers: npt.NDArray[np.float64]) -> Codes:
    """The quantile of each number, and 0 for a missing one."""
    finite = np.isfinite(numbers)
    bounds = np.unique(np.quantile(numbers[finite], np.linspace(0, 1, BINS + 1)[1:-1])) if finite.any() else np.zeros(1)
    return np.where(finite, np.searchsorted(bounds, numbers, side="right") + 1, 0)


def _ranks(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The rank of each number. Equal ones have the mean of their ranks."""
    _, places, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - counts / 2)[places]


def _correlation(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    with np.errstate(all="ignore"):  # one value has no correlation
        return float(np.nan_to_num(np.corrcoef(first, second)[0, 1]))
