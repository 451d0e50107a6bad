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
MAX_PAIRS_COLUMNS = 2_000
CORRELATION = 0.9999
SHOWN = 5

Codes = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Suspects:
    """Columns that deserve a second look.

    Attributes:
        copies: For columns that divide the rows exactly as an earlier one does: its name.
        labels: Columns that divide the rows exactly as the label does.
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
    first: dict[bytes, str] = {}
    copies, labels = {}, []
    for column in columns:
        key = column.codes.tobytes()
        if target.classes and key == label:
            labels.append(column.name)
        elif key in first and (column.type == "BYTES" or _same_order(columns, first[key], column)):
            copies[column.name] = first[key]
        else:
            first.setdefault(key, column.name)
    return copies, labels


def _same_order(columns: Sequence[Column], name: str, column: Column) -> bool:
    """Whether two columns have the same numbers, and not only the same pattern of distinct values."""
    other = next(each for each in columns if each.name == name)
    return other.is_number and column.is_number and bool(np.array_equal(other.numbers, column.numbers, equal_nan=True))


def _leak(column: Column, target: Target) -> str | None:
    """How well a column alone predicts the label of rows that it was not fitted on, if it is too good to be true."""
    codes = column.codes + 1 if column.distinct <= BINS or not column.is_number else _bins(column.numbers)
    known = target.column.codes >= 0
    codes = codes[known]
    if len(codes) < MIN_ROWS or len(np.unique(codes)) > len(codes) / 4:
        return None
    if target.classes:
        return _accuracy(codes, target.column.codes[known])
    return _explained(codes, target.column.numbers[known], column, known)


def _accuracy(codes: Codes, labels: Codes) -> str | None:
    width = int(labels.max()) + 1
    table = np.zeros((int(codes.max()) + 1, width), np.int64)
    np.add.at(table, (codes[::2], labels[::2]), 1)
    best, rest = table.argmax(axis=1), labels[1::2]
    right = float((best[codes[1::2]] == rest).mean())
    majority = float((rest == np.bincount(labels[::2], minlength=width).argmax()).mean())
    if right >= ALMOST_ALL and 1 - right <= ERROR_SHARE * (1 - majority):
        return f"alone it predicts {right:.1%} of the labels"
    return None


def _explained(
    codes: Codes, labels: npt.NDArray[np.float64], column: Column, known: npt.NDArray[np.bool_]
) -> str | None:
    if column.is_number and column.distinct > BINS:
        numbers = column.numbers[known]
        both = np.isfinite(numbers) & np.isfinite(labels)
        share = _correlation(_ranks(numbers[both]), _ranks(labels[both])) ** 2 if both.sum() >= MIN_ROWS else 0.0
        return f"alone it explains {share:.1%} of the order of the labels" if share >= 0.998 else None
    count = np.bincount(codes[::2])
    mean = np.bincount(codes[::2], labels[::2]) / np.maximum(count, 1)
    rest = labels[1::2]
    seen = codes[1::2] < len(count)
    error = float(((mean[np.minimum(codes[1::2], len(count) - 1)] - rest)[seen] ** 2).mean())
    share = 1 - error / max(float(rest.var()), 1e-30)
    return f"alone it explains {share:.1%} of the label" if share >= ALMOST_ALL else None


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
    return np.argsort(np.argsort(numbers, kind="stable"), kind="stable").astype(np.float64)


def _correlation(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    return float(np.corrcoef(first, second)[0, 1])
