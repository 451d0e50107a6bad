"""Compares the rows of splits by time, by a column and by a test table with their definitions."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest import ingest, parsed
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from artifacts.nodes.left_out import read_left_out
from custom_components.arrow_example_gen.formats.files import TableError
from custom_components.arrow_example_gen.source import format_of
from custom_components.arrow_example_gen.splits.choice import decide, numbered_files, strategy_of
from custom_components.arrow_example_gen.splits.hash_split import HashSplit, WithTestTable
from custom_components.arrow_example_gen.splits.settings import SplitBy
from custom_components.arrow_example_gen.splits.strategy import Rows
from custom_components.arrow_example_gen.splits.time_split import TimeSplit, _cuts
from custom_components.arrow_example_gen.table import Table
from custom_components.shared.label_rows import LabelRows
from custom_components.shared.split_hash import Split

SPLIT = Split(("train", "validation", "eval"), (7, 8, 10), seed=0, key=None)


def table_of(folder: Path, *files: str) -> list[str]:
    """Writes CSV files and returns their paths."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.csv" for number in range(len(files))]
    for path, content in zip(paths, files, strict=True):
        path.write_text(content)
    return list(map(str, paths))


def splits_of(
    paths: list[str],
    test: list[str] | None = None,
    missing: tuple[str, ...] = (),
    labels: LabelRows | None = None,
    **by: Any,
) -> list[int | str]:
    """The split, or the reason for leaving it out, of each row of files."""
    kind = format_of(paths[0])
    assert kind
    table, files = Table.of(kind, paths[0], None, missing), numbered_files(paths, test or ())
    strategy = strategy_of(SplitBy(**by, test="t" if test else None), SPLIT, labels)
    assignment = strategy if isinstance(strategy, HashSplit | WithTestTable) else decide(strategy, files, table)
    found: list[int | str] = []
    for file in files:
        before = 0
        for batch in table.read(file.path):
            if isinstance(batch, list):
                decoded = ExamplesToRecordBatchDecoder().DecodeBatch(batch)
                rows = Rows(file, before, decoded, {}, batch)
            else:
                columns = dict(zip(batch.schema.names, batch.columns, strict=True))
                rows = Rows(file, before, batch, columns, [str(each).encode() for each in batch.to_pylist()])
            found += assignment.choose(table, rows)
            before += len(batch)
    return found


def column(*cells: object) -> str:
    return "\n".join(["day", *map(str, cells)]) + "\n"


def test_earlier_rows_are_in_earlier_splits_in_the_given_sizes(tmp_path: Path) -> None:
    days = [f"2020-01-{day:02}" for day in range(1, 31)]
    random.Random(1).shuffle(days)
    found = splits_of(table_of(tmp_path, column(*days[:11]), column(*days[11:])), time="day")
    assert Counter(found) == {0: 21, 1: 3, 2: 6}
    assert [index for _, index in sorted(zip(days, found, strict=True))] == [0] * 21 + [1] * 3 + [2] * 6


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=3, max_size=40),
    st.lists(st.integers(1, 9), min_size=3, max_size=3),
)
def test_sizes_are_as_close_as_the_ties_allow(counts: list[int], weights: list[int]) -> None:
    """Compares the first cut with all others, and checks that no split is empty."""
    first, second = _cuts(np.array(counts), weights)
    assert 0 < first < second < len(counts)
    target = sum(counts) * weights[0] / sum(weights)
    errors = [abs(sum(counts[:cut]) - target) for cut in range(1, len(counts) - 1)]
    assert abs(sum(counts[:first]) - target) == pytest.approx(min(errors))


def test_rows_with_the_same_time_stay_together(tmp_path: Path) -> None:
    found = splits_of(table_of(tmp_path, column(*([1] * 8 + [2] * 9 + [3] * 3))), time="day")
    assert found == [0] * 8 + [1] * 9 + [2] * 3


@pytest.mark.parametrize(
    ("cells", "gap"),
    [
        ([str(day) for day in range(30)], "3"),
        ([str(day / 2) for day in range(30)], "1.5"),
        ([f"2020-01-{day:02}" for day in range(1, 31)], "3d"),
        ([f"2020-01-{day:02}T10:00:00Z" for day in range(1, 31)], "72h"),
        ([f"202001{day:02}" for day in range(1, 31)], "3d"),
        ([f"{day}/1/2020" for day in range(1, 31)], "3d"),
        ([f"1/{day}/2020" for day in range(1, 31)], "3d"),
    ],
)
def test_rows_within_the_gap_before_a_split_are_left_out(tmp_path: Path, cells: list[str], gap: str) -> None:
    sizes = Split(("train", "validation", "eval"), (5, 8, 10), 0, None)
    paths = table_of(tmp_path, column(*cells))
    table, files = Table.of("csv", paths[0]), numbered_files(paths)
    strategy = strategy_of(SplitBy(time="day", gap=gap), sizes)
    assert isinstance(strategy, TimeSplit)
    [batch] = table.read(paths[0])
    found = decide(strategy, files, table).choose(table, Rows(files[0], 0, batch, {}, []))
    gaps = (["gap before validation"] * 2, ["gap before eval"] * 2)
    assert found == [0] * 13 + gaps[0] + [1] * 7 + gaps[1] + [2] * 6


def test_the_splits_do_not_depend_on_the_order_or_the_number_of_files(tmp_path: Path) -> None:
    generator = random.Random(3)
    days = [
        f"{generator.randrange(1, 29)}.{generator.randrange(1, 13)}.20{generator.randrange(10, 13)}" for _ in range(400)
    ]
    expected = dict(zip(days, splits_of(table_of(tmp_path, column(*days)), time="day", gap="4w"), strict=True))
    assert set(expected.values()) == {0, 1, 2, "gap before validation", "gap before eval"}
    generator.shuffle(days)
    again = table_of(tmp_path, column(*days[:100]), column(*days[100:101]), column(*days[101:]))
    assert splits_of(again, time="day", gap="4w") == [expected[day] for day in days]


def test_rows_without_a_time_are_left_out_unless_the_schema_demands_one(tmp_path: Path) -> None:
    paths = table_of(tmp_path, "day,x\n1,1\n2,1\n,1\nNA,1\n3,1\n")
    assert splits_of(paths, missing=("NA",), time="day") == [0, 1, "no time", "no time", 2]
    with pytest.raises(TableError, match=r"0\.csv: line 4: column 'day': found no value; expected one in each row"):
        splits_of(paths, missing=("NA",), time="day", required=True)


def test_the_newest_rows_without_a_label_do_not_count(tmp_path: Path) -> None:
    """They are left out, so the sizes are those of the rows with a label."""
    paths = table_of(tmp_path, "day,y\n" + "".join(f"{day},{day % 2 if day < 10 else ''}\n" for day in range(40)))
    assert splits_of(paths, time="day", labels=LabelRows("y", absent=("y",)))[:10] == [0] * 7 + [1] + [2] * 2
    words = table_of(tmp_path, "set,y\ntrain,1\ntest,\n")
    with pytest.raises(TableError, match="expected rows of the eval split, too"):
        splits_of(words, column="set", labels=LabelRows("y", absent=("y",)))


@pytest.mark.parametrize(
    ("cells", "by", "message"),
    [
        (
            ["1", "2", "x"],
            {},
            r"0\.csv: line 4: column 'day': found 'x'; expected a number, or a date .* data.missing_va",
        ),
        (["1", "2", "2"], {}, "found 2 different times in all rows; expected at least 3, one for each split"),
        (["", ""], {}, "found no value in any row"),
        (
            ["1", "2", "3"],
            {"gap": "7d"},
            "found numbers, and a duration in data.split_gap; expected a number in their un",
        ),
        (
            ["2020-01-01", "2020-01-02", "2020-01-03"],
            {"gap": "7"},
            "found dates, and the number 7 in data.split_gap; exp",
        ),
        (
            ["20200101", "20200102", "20200103"],
            {"gap": "7"},
            "found dates, and the number 7 in data.split_gap; expected",
        ),
        (["1", "2", "3"], {"gap": "2"}, "all rows of the train split are within data.split_gap before the next split"),
        (
            ["03/04/2020", "25/04/2020", "04/25/2020"],
            {},
            r"line 4: column 'day': found '04/25/2020', but '25/04/2020' in",
        ),
    ],
)
def test_times_that_cannot_be_split_are_one_line(
    tmp_path: Path, cells: list[str], by: dict[str, Any], message: str
) -> None:
    with pytest.raises(TableError, match=message):
        splits_of(table_of(tmp_path, "day,x\n" + "".join(f"{cell},1\n" for cell in cells)), time="day", **by)


def test_a_conflict_between_files_names_both(tmp_path: Path) -> None:
    paths = table_of(tmp_path, column("25/04/2020"), column("04/26/2020"), column("04/27/2020"))
    with pytest.raises(TableError, match=r"1\.csv: line 2: .*'04/26/2020', but '25/04/2020' in .*/0\.csv: line 2; exp"):
        splits_of(paths, time="day")


def test_a_column_names_the_splits_in_its_own_words(tmp_path: Path) -> None:
    paths = table_of(tmp_path, "set,x\nTrain,1\n VAL ,2\ntest,3\n,4\n", "set,x\ntraining,5\ndev,6\ntrain,7\n")
    assert splits_of(paths, column="set") == [0, 1, 2, "no value in the split column", 0, 1, 0]


def test_missing_validation_rows_are_taken_from_the_training_rows(tmp_path: Path) -> None:
    paths = table_of(tmp_path, "set,x\n" + "".join(f"{'test' if x % 4 == 0 else 'train'},{x}\n" for x in range(4_000)))
    found = splits_of(paths, column="set")
    assert all((index == 2) == (row % 4 == 0) for row, index in enumerate(found))
    assert Counter(found)[1] == pytest.approx(3_000 / 8, rel=0.15)  # the weights of train and validation are 7 and 1


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            ["train", "test", "valdation"],
            r"line 4: column 'set': found 'valdation'; expected train, validation, eval, or",
        ),
        (
            ["train", "dev"],
            "found 'dev', 'train'; expected rows of the eval split, too, since data.split_column names this column",
        ),
        (["test", "dev"], "expected rows of the train split, too"),
        (
            ["train", "eval", "test"],
            r"line 4: column 'set': found 'test', and 'eval' in .*line 3; expected one word for",
        ),
    ],
)
def test_a_column_that_names_no_splits_is_one_line(tmp_path: Path, cells: list[str], message: str) -> None:
    with pytest.raises(TableError, match=message):
        splits_of(table_of(tmp_path, "set,x\n" + "".join(f"{cell},1\n" for cell in cells)), column="set")


def test_the_eval_split_is_the_test_table(tmp_path: Path) -> None:
    paths = table_of(tmp_path / "table", "x\n" + "".join(f"{x}\n" for x in range(400)))
    test = table_of(tmp_path / "test", "x\n1\n2\n", "x\n3\n")
    found = splits_of(paths, test)
    assert found[400:] == [2, 2, 2]
    assert Counter(found[:400])[1] == pytest.approx(50, abs=20)
    assert set(found[:400]) == {0, 1}
    with pytest.raises(
        TableError, match=r"data\.test_path: .*/0\.csv is also a file of the table; expected other files"
    ):
        splits_of(paths, paths)


def test_all_formats_are_split_alike(tmp_path: Path) -> None:
    days = [None if x % 8 == 0 else f"2020-01-{x * 7 % 30 + 1:02}" for x in range(40)]
    [csv] = table_of(tmp_path, "x,day\n" + "".join(f"{x},{day or ''}\n" for x, day in enumerate(days)))
    pq.write_table(pa.table({"x": range(40), "day": days}), tmp_path / "a.parquet")
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        for day in days:
            features = {"day": {"bytes_list": {"value": [day.encode()]}}} if day else {}
            writer.write(tf.train.Example(features={"feature": features}).SerializeToString())
    expected = splits_of([csv], time="day", gap="36h")
    assert set(expected) == {0, 1, 2, "no time", "gap before validation", "gap before eval"}
    for name in ("a.parquet", "a.tfrecord"):
        assert splits_of([str(tmp_path / name)], time="day", gap="36h") == expected


def numbers(split: list[tf.train.Example]) -> list[int]:
    return [example.features.feature["x"].int64_list.value[0] for example in split]


def test_example_gen_splits_by_time_and_counts_the_rows_that_it_leaves_out(tmp_path: Path) -> None:
    days = [None if x % 8 == 0 else f"2020-01-{x * 7 % 30 + 1:02}" for x in range(40)]
    lines = [f"{x},{day or ''}\n" for x, day in enumerate(days)]
    paths = table_of(tmp_path / "table", "x,day\n" + "".join(lines[:25]), "x,day\n" + "".join(lines[25:]))
    written = parsed(ingest(tmp_path / "table", tmp_path / "out", time="day", gap="36h"))
    expected = splits_of(paths, time="day", gap="36h")
    for index, name in enumerate(SPLIT.names):
        assert numbers(written[name]) == [x for x, chosen in enumerate(expected) if chosen == index]
    assert read_left_out(tmp_path / "out") == Counter(reason for reason in expected if isinstance(reason, str))
