"""Columns that repeat the label or determine it are named, whatever the order of the rows is."""

from collections.abc import Callable
from pathlib import Path

import pytest
from drafts import drafted, table
from test_refused_tables import number, rows, yes

ROWS = 600


def warnings(folder: Path, cell: Callable[[int], object], label: Callable[[int], object]) -> str:
    """The warnings about a table whose column ``b`` has these values."""
    path = table(folder / "a.csv", rows(number, cell, label, count=ROWS))
    found = drafted(path, "label", folder / "out")
    assert (found.code, found.stderr) == (0, "")
    return "\n".join(found.choices["warnings"])


def test_a_leak_is_found_in_a_table_of_pairs(tmp_path: Path) -> None:
    case = ("ill", "well")
    text = warnings(tmp_path, lambda row: case[row % 2] if row % 100 else "ill?", lambda row: case[row % 2])
    assert "'b' may leak the label: alone it predicts" in text


def test_a_code_of_many_values_that_determines_the_class_is_a_leak(tmp_path: Path) -> None:
    text = warnings(tmp_path, lambda row: row * 7919 % 101, lambda row: yes(row * 7919 % 101))
    assert "'b' may leak the label: alone it predicts" in text


def test_a_code_of_many_values_that_determines_the_number_is_a_leak(tmp_path: Path) -> None:
    text = warnings(tmp_path, lambda row: row * 7919 % 101, lambda row: row * 7919 % 101 * 37 % 101 + 0.5)
    assert "'b' may leak the label: alone it explains 100.0% of the label" in text


def test_a_code_with_few_rows_each_is_a_leak(tmp_path: Path) -> None:
    text = warnings(tmp_path, lambda row: f"P{row // 5}", lambda row: yes(row // 5))
    assert "'b' may leak the label: alone it predicts 100.0% of the labels" in text


@pytest.mark.parametrize("label", [lambda row: "x" if row % 40 else "y", lambda row: row / 3 if row % 20 == 0 else 0.5])
def test_a_column_that_is_mostly_zero_is_no_leak(tmp_path: Path, label: Callable[[int], object]) -> None:
    assert "may leak" not in warnings(tmp_path, lambda row: 0 if row % 20 else row / 7, label)


def test_rare_values_do_not_hide_a_leak(tmp_path: Path) -> None:
    def cell(row: int) -> int:
        return row if row % 100 == row // 100 else row % 20  # six values have one row

    text = warnings(tmp_path, cell, lambda row: cell(row) ** 2 + 0.5)
    assert "'b' may leak the label: alone it explains 100.0% of the label" in text


def test_equal_numbers_have_no_order(tmp_path: Path) -> None:
    assert "may leak" not in warnings(tmp_path, lambda row: max(row - 400, 0), lambda row: row + 0.5)


def test_a_copy_of_a_number_to_predict_is_left_out(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", rows(lambda row: row % 7 / 2, number, number))
    found = drafted(path, "label", tmp_path / "out")
    assert found.reasons["b"] == "the label under other names"
    assert found.uses["a"] == "dense"
