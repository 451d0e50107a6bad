"""Tables and options from which nothing can be drafted end in one line, and nothing is written."""

from collections.abc import Callable
from pathlib import Path

import pytest
from drafts import Drafted, drafted, table

ROWS = 120


def rows(*columns: Callable[[int], object], count: int = ROWS, header: str = "a,b,label") -> str:
    """A table of functions of the row's number."""
    lines = [",".join(str(column(number)) for column in columns) for number in range(count)]
    return "\n".join([header, *lines]) + "\n"


def number(row: int) -> float:
    return round(row * 7919 % 1000 / 10, 1)


def word(row: int) -> str:
    return ("red", "green", "blue")[row * 31 % 3]


def yes(row: int) -> str:
    return "yes" if row * 7919 % 1000 > 400 else "no"


GOOD = rows(number, word, yes)


def refusal(found: Drafted) -> str:
    """The line that a refused draft prints."""
    assert found.code == 2
    assert found.stdout == ""
    assert found.files == []
    [line] = found.stderr.splitlines()
    assert line.startswith("error ")
    return line


def test_a_good_table_is_drafted(tmp_path: Path) -> None:
    found = drafted(table(tmp_path / "good.csv", GOOD), "label", tmp_path / "out")
    assert (found.code, found.stderr) == (0, "")
    assert found.uses == {"a": "dense", "b": "vocabulary", "label": "label"}
    assert found.settings["label"]["classes"] == ["no", "yes"]


@pytest.mark.parametrize(
    ("text", "label", "said"),
    [
        (GOOD, "lable", "--label: unknown column 'lable'; allowed: a, b, label; did you mean 'label'?"),
        (
            rows(number, word, lambda _: "yes"),
            "label",
            "'label' is 'yes' in all 120 rows; expected at least two values",
        ),
        ("5.1,3.5,setosa\n" * 99, "label", "the first line looks like values: expected a line of column names"),
        (
            rows(number, word, lambda row: f"{row + 1}e300"),
            "label",
            "--label: 'label' has numbers beyond 3.4e38, the largest that a label can have; expected smaller ones",
        ),
        (rows(number, word, lambda _: ""), "label", "'label' has no value in any of the 120 rows; expected labels"),
        (rows(number, word, lambda _: "NA"), "label", "'label' has no value in any of the 120 rows; expected labels"),
        (rows(number, word, yes, count=10), "label", "found 10 rows with a label; expected at least 50"),
        (
            rows(lambda row: f"text {row}", lambda row: f"other {row}", yes),
            "label",
            "found no column to predict 'label' from; expected one ('a': a different value in every row, 'b': a diff",
        ),
        (
            rows(lambda row: "abc" if row == 70 else number(row), word, yes),
            "label",
            "line 72: column 'a': found 'abc'; 119 of 120 values are numbers: correct the cell, or give",
        ),
        (
            rows(number, word, lambda row: "abc" if row == 70 else number(row)),
            "label",
            "line 72: column 'label': found 'abc'; 119 of 120 values are numbers: correct the cell, or give "
            "--missing-value 'abc' if it means a missing value",
        ),
        (
            rows(lambda row: "12/31/2020" if row == 50 else f"{row % 28 + 1:02}/02/2020", word, yes),
            "label",
            "line 52: column 'a': found '12/31/2020', month first, among dates with day first; expected one order",
        ),
        (rows(lambda row: "x" * (10 << 20) if row == 3 else number(row), word, yes), "label", "more than 4 MiB"),
        (
            rows(number, word, lambda row: f"{row} of many"),
            "label",
            "120 different texts in 120 rows; expected",
        ),
        (
            rows(number, word, lambda row: "yes" if row % 99 == 0 else "no"),
            "label",
            "'label' is 'yes' in only 2 of 120 rows; expected at least 3 rows of each class, one for each split",
        ),
        (
            rows(number, word, lambda row: "inf" if row == 7 else number(row)),
            "label",
            "--label: 'label' has infinite numbers; expected finite ones: correct these rows",
        ),
        (
            rows(number, word, lambda row: f'"${row % 40 * 77:,}"'),
            "label",
            "--label: 'label' has numbers that are read as text, such as '$0'; expected digits with a decimal point",
        ),
        (
            rows(number, word, lambda row: f'"{row % 30},5"'),
            "label",
            "has numbers that are read as text, such as '0,5'; expected digits with a decimal point",
        ),
        ("a,b,label\n", "label", "found a header and no rows; expected at least one row"),
        ("", "label", "the file is empty; expected a header line and rows"),
        ("a,b,label\n1,2\n", "label", "line 2: found 2 values; expected 3, as in the header"),
    ],
)
def test_a_table_that_cannot_be_used_ends_in_one_line(tmp_path: Path, text: str, label: str, said: str) -> None:
    found = drafted(table(tmp_path / "bad.csv", text), label, tmp_path / "out")
    assert said in refusal_in(found, tmp_path)


def test_the_line_is_short_for_a_long_value_and_for_many_columns(tmp_path: Path) -> None:
    long = rows(number, word, lambda _: "x" * 3_000)
    assert len(refusal_in(drafted(table(tmp_path / "a.csv", long), "label", tmp_path / "out"), tmp_path)) < 300
    wide = rows(yes, *[lambda _: 1] * 500, header=",".join(["label", *map(str, range(500))]))
    line = refusal_in(drafted(table(tmp_path / "b.csv", wide), "label", tmp_path / "out"), tmp_path)
    assert "'4': the same value in every row, and 495 more)" in line


def test_only_the_label_cannot_be_left_out(tmp_path: Path) -> None:
    text = rows(lambda row: "abc" if row == 70 else number(row), word, yes)
    path = table(tmp_path / "a.csv", text)
    assert "or --leave-out 'a'" in drafted(path, "label", tmp_path / "out").stderr
    assert "--leave-out" not in drafted(path, "a", tmp_path / "out").stderr


def refusal_in(found: Drafted, folder: Path) -> str:
    assert not (folder / "out").exists()
    return refusal(found)
