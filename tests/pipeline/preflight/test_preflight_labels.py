import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipeline.config.errors import DataError, UserError
from pipeline.config.loading import load_config
from pipeline.config.settings import Config
from pipeline.preflight.preflight import CheckedInputs, preflight

SETTINGS = """
name: labels
task: TASK
label: {name: y, LABEL}
features: {dense: {x: {}}}
data: {path: table, pattern: "PATTERN", schema: SCHEMA}
evaluation: {metrics: [METRIC], thresholds: [{metric: METRIC, min: 0}], min_rows: 1}
tuning: {enabled: false}
"""
ALL = "presence { min_fraction: 1 } float_domain { disallow_nan: true }"


def settings(folder: Path, label: str, kind: str, task: str, pattern: str = "*.csv") -> Path:
    (folder / "table").mkdir(exist_ok=True)
    features = f'feature {{ name: "answer" type: {kind} }} feature {{ name: "x" type: FLOAT }}'
    (folder / "schema.pbtxt").write_text(features.replace(" type: FLOAT ALL", f" type: FLOAT {ALL}"))
    values = {
        "TASK": task,
        "LABEL": label,
        "PATTERN": pattern,
        "SCHEMA": str(folder / "schema.pbtxt"),
        "METRIC": "mse" if task == "regression" else "accuracy",
    }
    text = SETTINGS
    for name, value in values.items():
        text = text.replace(name, value)
    path = folder / "labels.yaml"
    path.write_text(text)
    return path


def checked(path: Path) -> CheckedInputs:
    return preflight(load_config(path, data=str(path.parent / "table")), path)


def check_csv(
    folder: Path, answers: Sequence[object], label: str, kind: str = "BYTES", task: str = "binary"
) -> CheckedInputs:
    """Checks a table of two columns."""
    path = settings(folder, f"column: answer{label}", kind, task)
    rows = "".join(f"{answer},{number}\n" for number, answer in enumerate(answers))
    (folder / "table/a.csv").write_text(f"answer,x\n{rows}")
    return checked(path)


@pytest.mark.parametrize(
    ("answers", "label", "kind"),
    [
        (["No", "Yes"], ", classes: [No, Yes]", "BYTES"),
        (["TRUE", "FALSE"], ", classes: [FALSE, TRUE]", "BYTES"),
        (["true", "False"], ", classes: [false, true]", "BYTES"),
        (["1", "2"], ", classes: [1, 2]", "BYTES"),
        ([0, 1], "", "INT"),
        ([0, 1], ", classes: [false, true]", "INT"),
        ([0, 1], ", classes: ['false', 'true']", "FLOAT"),
        (["0.0", "1.0"], "", "FLOAT"),
        (["0.0", "1.0"], ", classes: [0.0, 1.0]", "FLOAT"),
        ([0, 1], ", classes: ['0.0', '1.0']", "INT"),
        ([-1, 1], ", classes: [-1, +1]", "INT"),
        (["-1.0", "1.0"], ", classes: [-1, 1]", "FLOAT"),
        ([-1, 1], ", classes: [-1, 1]", "INT int_domain { min: -1 max: 1 }"),
        ([0.1, 0.5], ", classes: [0.1, 0.5]", "FLOAT float_domain { min: 0 max: 1 }"),
        ([2**53, 2**53 + 1], f", classes: [{2**53}, {2**53 + 1}]", "INT"),
    ],
)
def test_classes_of_any_type_need_no_domain(tmp_path: Path, answers: list[Any], label: str, kind: str) -> None:
    inputs = check_csv(tmp_path, answers * 20, label, kind)
    assert (inputs.table.rows, inputs.warnings) == (40, ())


@pytest.mark.parametrize(
    ("answers", "label", "kind", "found"),
    [
        (["No", "Yes", "Maybe"], ", classes: [No, Yes]", "BYTES", "found 'Maybe'"),
        (["No", "Yes", "yes"], ", classes: [No, Yes]", "BYTES", "found 'yes'"),
        ([-1, 1, 0], ", classes: [-1, 1]", "INT int_domain { min: -1 max: 1 }", "found '0'"),
        ([0, 1, 0.5], "", "FLOAT", "found '0.5'"),
        ([0, 1, 2], "", "INT", "found '2'"),
        (["true", "false", "tRUE"], ", classes: [true, false]", "BYTES", "found 'tRUE'"),
        ([2**53, 2**53 + 2, 2**53 + 1], f", classes: [{2**53}, {2**53 + 2}]", "INT", "column 'answer'"),
    ],
)
def test_another_value_is_refused_with_its_line(
    tmp_path: Path, answers: list[Any], label: str, kind: str, found: str
) -> None:
    with pytest.raises(DataError) as error:
        check_csv(tmp_path, answers, label, kind)
    line = str(error.value)
    assert line.startswith(f"{tmp_path / 'table/a.csv'}: line 4: column 'answer': found ")
    assert found in line
    assert "expected one of the label's classes" in line


@pytest.mark.parametrize(
    ("answers", "label", "kind", "task", "line"),
    [
        (["a", "a"], ", classes: [a, b]", "BYTES", "binary", "rows of one class only (a 2, b 0)"),
        ([0, 0, 0], "", "INT", "binary", "rows of one class only (0 3, 1 0)"),
        ([1, 2], ", above: {value: 3}", "INT", "binary", "rows of one class only (0 2, 1 0)"),
        ([5, 6], ", above: {fraction: 2, of: x}", "INT", "binary", "rows of one class only (0 0, 1 2)"),
        ([7, 7], "", "FLOAT", "regression", "found 7 in all of 2 rows"),
        (["", ""], "", "FLOAT", "regression", "found no label in any of 2 rows"),
        (["", ""], ", classes: [a, b]", "BYTES", "binary", "found no label in any of 2 rows"),
        (["b", "b"], ", classes: [a, b, c]", "BYTES", "multiclass", "rows of one class only (a 0, b 2, c 0)"),
    ],
)
def test_a_label_that_cannot_be_learned_is_refused_with_the_counts(
    tmp_path: Path, answers: list[Any], label: str, kind: str, task: str, line: str
) -> None:
    with pytest.raises(UserError, match=r"table: column 'answer': ") as error:
        check_csv(tmp_path, answers, label, kind, task)
    assert line in str(error.value)


def test_a_class_without_rows_is_a_warning_with_the_counts(tmp_path: Path) -> None:
    inputs = check_csv(tmp_path, ["a", "b", "b"] * 10, ", classes: [a, b, c]", task="multiclass")
    assert inputs.warnings == ("label.classes: no row has c (a 10, b 20, c 0), so the model cannot learn it",)


def config_of(folder: Path, pattern: str, content: bytes, kind: str) -> Config:
    path = settings(folder, "column: answer, classes: [a, b]", kind, "binary", pattern)
    (folder / "table" / pattern.replace("*", "a")).write_bytes(content)
    return load_config(path, data=str(folder / "table"))


def parquet(answers: list[str | None]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"answer": answers, "x": [float(x) for x in range(len(answers))]}), file)
    return file.getvalue()


def tfrecord(folder: Path, answers: list[str | None]) -> bytes:
    with tf.io.TFRecordWriter(str(folder / "rows")) as writer:
        for answer in answers:
            row = tf.train.Example()
            row.features.feature["x"].float_list.value.append(1)
            if answer is not None:
                row.features.feature["answer"].bytes_list.value.append(answer.encode())
            writer.write(row.SerializeToString())
    return (folder / "rows").read_bytes()


@pytest.mark.parametrize("kind", ["parquet", "tfrecord"])
def test_other_formats_are_checked_in_the_same_way(tmp_path: Path, kind: str) -> None:
    def content(answers: list[str | None]) -> bytes:
        return parquet(answers) if kind == "parquet" else tfrecord(tmp_path, answers)

    config_of(tmp_path, f"*.{kind}", content(["a", None, "b"] * 10), "BYTES")
    assert checked(tmp_path / "labels.yaml").table.rows == 30
    config_of(tmp_path, f"*.{kind}", content(["a", None, "c"]), "BYTES")
    place = "row 3" if kind == "parquet" else "record 3"
    with pytest.raises(DataError, match=f"{place}: column 'answer': found 'c'"):
        checked(tmp_path / "labels.yaml")
