import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from ingest import ingest

from artifacts.nodes.left_out import read_left_out
from custom_components.arrow_example_gen.component import SchemaRules
from custom_components.arrow_example_gen.executor import batches_of
from custom_components.arrow_example_gen.formats.files import TableError
from custom_components.arrow_example_gen.shards import Batch
from custom_components.arrow_example_gen.splits.hash_split import HashSplit
from custom_components.arrow_example_gen.splits.strategy import NumberedFile
from custom_components.arrow_example_gen.table import Table
from custom_components.shared.label_examples import CountLabels, is_labeled
from custom_components.shared.label_rows import LabelRows
from custom_components.shared.split_hash import Split

TYPES = {"score": "FLOAT", "grade": "BYTES", "row": "INT"}
SCORES = [1.5, None, float("nan"), float("inf"), 2.5, 3.5]
SPLIT = Split(("train", "eval"), (1, 2), 0, None)
GRADES = ["a", "b", "a", "b", None, ""]


def write(folder: Path, kind: str) -> None:
    rows = list(range(len(SCORES)))
    if kind == "parquet":
        pq.write_table(pa.table({"row": rows, "score": SCORES, "grade": GRADES}), folder / "a.parquet")
    elif kind == "csv":
        with (folder / "a.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["row", "score", "grade"], *zip(rows, SCORES, GRADES, strict=True)])
    else:
        with tf.io.TFRecordWriter(str(folder / "a.tfrecord")) as writer:
            for example in examples():
                writer.write(example.SerializeToString())


def examples() -> list[tf.train.Example]:
    found = []
    for row, (score, grade) in enumerate(zip(SCORES, GRADES, strict=True)):
        example = tf.train.Example()
        example.features.feature["row"].int64_list.value.append(row)
        if score is not None:
            example.features.feature["score"].float_list.value.append(score)
        if grade is not None:
            example.features.feature["grade"].bytes_list.value.append(grade.encode())
        found.append(example)
    return found


RULES: list[tuple[LabelRows, list[int]]] = [
    (LabelRows("score", absent=("score",)), [0, 2, 3, 4, 5]),
    (LabelRows("score", undefined=("score",)), [0, 1, 4, 5]),
    (LabelRows("score", absent=("score", "grade"), undefined=("score",)), [0]),
    (LabelRows("grade", classes=("a", "b"), absent=("grade",)), [0, 1, 2, 3]),
]


def batches(folder: Path, kind: Any, rows: LabelRows) -> list[Batch]:
    path = str(folder / f"a.{kind}")
    table = Table.of(kind, path, TYPES)
    return list(batches_of(NumberedFile(0, path), table, SPLIT.names, table.infer_types(path), HashSplit(SPLIT), rows))


@pytest.mark.parametrize("kind", ["csv", "parquet", "tfrecord"])
@pytest.mark.parametrize(("rows", "kept"), RULES)
def test_rows_without_a_label_are_in_no_split_and_counted(
    tmp_path: Path, kind: str, rows: LabelRows, kept: list[int]
) -> None:
    write(tmp_path, kind)
    found = batches(tmp_path, kind, rows)
    records = [each for batch in found for rows_of_split in batch.rows.values() for each in rows_of_split]
    numbers = [tf.train.Example.FromString(each).features.feature["row"].int64_list.value[0] for each in records]
    assert sorted(numbers) == kept
    assert sum(batch.left_out.get("no label", 0) for batch in found) == len(SCORES) - len(kept)


def test_their_number_is_in_a_file_of_the_artifact(tmp_path: Path) -> None:
    write(tmp_path, "csv")
    rules = SchemaRules(TYPES, LabelRows("score", absent=("score",), undefined=("score",)))
    splits = ingest(tmp_path, tmp_path / "out", rules=rules)
    assert sum(map(len, splits.values())) == 3
    assert read_left_out(tmp_path / "out") == {"no label": 3}


@pytest.mark.parametrize(("rows", "kept"), RULES)
def test_rows_read_one_by_one_are_left_out_in_the_same_way(rows: LabelRows, kept: list[int]) -> None:
    assert [row for row, example in enumerate(examples()) if is_labeled(example, rows)] == kept
    columns = {"score": pa.array(SCORES, pa.float32()), "grade": pa.array(GRADES, pa.large_binary())}
    assert np.flatnonzero(rows.labeled(columns, len(SCORES))).tolist() == kept


@pytest.mark.parametrize(
    ("kind", "values", "others"),
    [
        ("bytes_list", [b"-1", b"1", b"0", b"0", b"x"], {"0": 2, "x": 1}),
        ("int64_list", [-1, 1, 0, 7, 0], {"0": 2, "7": 1}),
        ("float_list", [-1.0, 1.0, 0.5], {"0.5": 1}),
    ],
)
def test_values_of_no_class_are_counted(kind: str, values: list[Any], others: dict[str, int]) -> None:
    count = CountLabels(LabelRows("answer", classes=("-1", "1")))
    found = count.create_accumulator()
    for value in values:
        example = tf.train.Example()
        getattr(example.features.feature["answer"], kind).value.append(value)
        found = count.add_input(found, example)
    assert count.extract_output(found).others == others


def test_a_value_of_no_class_stops_the_node_with_its_line(tmp_path: Path) -> None:
    """Vertex AI has no check of the table before the run."""
    write(tmp_path, "csv")
    with pytest.raises(TableError, match=r"a\.csv: line 3: column 'grade': found 'b'; expected one of the label's cl"):
        batches(tmp_path, "csv", LabelRows("grade", classes=("a", "c"), absent=("grade",)))


def test_options_are_only_there_if_rows_can_be_left_out_or_refused() -> None:
    assert LabelRows("grade").to_options() == {}
    rows = RULES[2][0]
    assert LabelRows.from_options(rows.to_options()) == rows
    assert LabelRows.from_options({}) is None
