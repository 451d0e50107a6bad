"""What is chosen for a table, and why."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from drafts import drafted, table
from tensorflow_metadata.proto.v0 import schema_pb2
from test_refused_tables import ROWS, number, rows, word, yes

from custom_components.arrow_example_gen.encoding import encode, to_bytes
from pipeline.config.loading import load_config
from pipeline.drafting.choices.plan import make_plan


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["no", "yes"], "binary", ["no", "yes"]),
        (["Yes", "No"], "binary", ["No", "Yes"]),
        (["True", "False"], "binary", ["False", "True"]),
        (["malignant", "benign"], "binary", ["benign", "malignant"]),
        (["1", "0"], "binary", ["0", "1"]),
        (["2", "1", "2"], "binary", ["1", "2"]),
        ([" TRUE", "FALSE"], "binary", ["FALSE", " TRUE"]),
        (["1000000000000000000", "1000000000000000001"], "binary", ["1000000000000000000", "1000000000000000001"]),
        (["1", "-1"], "binary", ["-1", "1"]),
        (["1.0", "0.0"], "binary", ["0", "1"]),
        (["0.5", "1.5"], "binary", ["0.5", "1.5"]),
        (["common", "common", "rare"], "binary", ["common", "rare"]),
        (["b", "c", "a"], "multiclass", ["a", "b", "c"]),
        (["10", "9", "+8"], "multiclass", ["8", "9", "10"]),
        ([str(value) for value in range(40)], "regression", None),
        (["0.5", "1.5", "2.5"], "regression", None),
    ],
)
def test_the_task_and_the_order_of_classes_follow_from_the_label(
    tmp_path: Path, values: list[str], task: str, classes: list[str] | None
) -> None:
    text = rows(number, word, lambda row: values[row * 7 % len(values)])
    found = drafted(table(tmp_path / "a.csv", text), "label", tmp_path / "out")
    assert (found.code, found.stderr) == (0, "")
    settings = found.settings
    assert (settings["task"], settings["label"].get("classes")) == (task, classes)


def test_the_task_can_be_given(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", rows(number, word, lambda row: row * 7 % 3))
    found = drafted(path, "label", tmp_path / "out", "--task", "regression")
    assert found.settings["task"] == "regression"
    assert "classes" not in found.settings["label"]
    refused = drafted(path, "b", tmp_path / "new", "--task", "regression")
    assert "--task: found regression, and text in the label's column 'b'; expected numbers" in refused.stderr


@pytest.mark.parametrize(
    ("cell", "use", "reason"),
    [
        (lambda row: row + 1, "left out", "a different value in every row"),
        (lambda row: row * 31 % 1009 + 0.5, "dense", "0.5 to 1006.5"),
        (lambda row: f"item {row}", "left out", "a different value in every row"),
        (lambda row: f"item {row % 100}", "left out", "values that hardly repeat"),
        (lambda row: 7, "left out", "the same value in every row"),
        (lambda row: 7 if row % 2 else "", "left out", "the same value in every row, or none"),
        (lambda row: "", "left out", "no value in any row"),
        (lambda row: f"2024-0{row % 9 + 1}-1{row % 7}", "date", "2024-01-10 to 2024-09-16; reference: the newest"),
        (lambda row: f"{row % 28 + 1}.{row % 12 + 1}.2024 10:00", "date", "2024-01-01 to 2024-12-28; reference"),
        (lambda row: 20240100 + row % 31 + 1, "date", "2024-01-01 to 2024-01-31; reference: the newest"),
        (lambda row: f"{row % 24}:{row % 60:02}", "date", "00:00 to 23:59"),
        (
            lambda row: f"{row % 9 + 2010}-0{row % 9 + 1}-01{' 10:00' * (row % 9 > 3)}",
            "date",
            "2010-01-01 to 2018-09-01",
        ),
        (
            lambda row: f"2024-0{row % 9 + 1}-11" if row % 4 else f"{row % 9 + 1} May 2024",
            "left out",
            "different forms",
        ),
        (lambda row: 20240100 + row % 60, "dense", "20,240,100 to 20,240,159"),
        (lambda row: f"it said {row} words and then some {row * 7} more", "text", "free text, 9 words on average"),
        (lambda row: f"{'RGB'[row % 3]}{row} {['Inn', 'Bar', 'Pub', 'Spa'][row % 4]}", "text", "free text, 2 words"),
        (
            lambda row: f"{'abcdefg'[row % 7]}|{'hijklmn'[row // 7 % 7]}|{'opq'[row % 3]}",
            "tags",
            "up to 3 values",
        ),
        (lambda row: ";".join(map(str, range(row % 5, 3 + row % 9))), "numbers", "up to 11 numbers per row"),
        (lambda row: f"0{row % 30:04}", "vocabulary", "30 different values"),
        (lambda row: round(math.exp(row % 50 / 4)), "dense", "skewed"),
        (lambda row: '"1.234,5"' if row % 2 else '"7,25"', "left out", "decimal commas"),
        (lambda row: f'"${row * 77:,}.50"', "left out", "thousands separators"),
        (lambda row: f"{row * 7 / 10} %", "left out", "symbols such as $ and %"),
        (lambda row: f"{row % 5}0%", "vocabulary", "5 different values"),
        (lambda row: f"{row + 1}e300", "left out", "numbers beyond 3.4e38"),
        (lambda row: f"\N{NO-BREAK SPACE}{row % 9}", "vocabulary", "9 different values"),
        (lambda row: "inf" if row % 2 else "-inf", "left out", "no finite number in any row"),
        (lambda row: ["NA", "?", "unknown", "-"][row % 4] if row < 8 else row % 50 / 4, "dense", "0 to 12.25"),
        (number, "left out", "the same as 'a' in every row"),
        (lambda row: {"yes": "Y", "no": "N"}[str(yes(row))], "left out", "the label under other names"),
    ],
)
def test_the_use_of_a_column_and_its_reason(tmp_path: Path, cell: object, use: str, reason: str) -> None:
    assert callable(cell)
    path = table(tmp_path / "a.csv", rows(number, cell, yes))
    found = drafted(path, "label", tmp_path / "out")
    assert (found.code, found.stderr) == (0, "")
    assert found.uses["b"] == use
    assert reason in found.reasons["b"]


@pytest.mark.parametrize(
    ("cell", "use"),
    [
        (lambda row: "" if row % 19 == 0 else row * 31 % 1009 + 0.5, "dense+missing"),
        (lambda row: "" if row % 40 == 0 else row * 31 % 1009 + 0.5, "dense"),  # 3% of the rows
        (lambda row: "" if row > 8 else row + 0.5, "dense"),  # nine rows with a value
        (lambda row: "" if row % 19 == 0 else f"word {row % 9}", "vocabulary"),  # index 0 tells it
    ],
)
def test_a_number_that_is_often_missing_has_an_indicator(tmp_path: Path, cell: object, use: str) -> None:
    assert callable(cell)
    path = table(tmp_path / "a.csv", rows(number, cell, yes, count=200))
    found = drafted(path, "label", tmp_path / "out")
    assert (found.code, found.stderr) == (0, "")
    assert found.uses["b"] == use


def test_a_column_of_numbers_and_texts_is_text_and_named_with_a_line(tmp_path: Path) -> None:
    text = rows(number, lambda row: f"V{row % 9}" if row % 3 == 2 else row % 11, yes)
    found = drafted(table(tmp_path / "a.csv", text), "label", tmp_path / "out")
    assert found.uses["b"] == "vocabulary"
    assert (
        "'b' is read as text: 67% of its values are numbers, but line 4 of a.csv has 'V2'" in found.choices["warnings"]
    )


def test_undefined_numbers_of_parquet_are_missing_values(tmp_path: Path) -> None:
    numbers = [math.nan if row % 4 == 0 else float(number(row)) for row in range(120)]
    labels = [math.nan if row % 9 == 0 else float(row * 7 % 2) for row in range(120)]
    pq.write_table(
        pa.table({"a": numbers, "b": [word(row) for row in range(120)], "label": labels}), tmp_path / "a.parquet"
    )
    found = drafted(tmp_path / "a.parquet", "label", tmp_path / "out")
    assert (found.code, found.stderr) == (0, "")
    assert found.settings["label"]["classes"] == ["0", "1"]
    assert [each["missing"] for each in found.choices["columns"]] == [30, 0, 14]
    assert found.schema["a"].float_domain.max > 0
    assert any("14 of 120 rows have no label" in line for line in found.choices["warnings"])


def test_integers_that_identify_something_are_codes(tmp_path: Path) -> None:
    text = rows(number, lambda row: row * 7919 % 40, yes, header="a,customerId,label")
    found = drafted(table(tmp_path / "a.csv", text), "label", tmp_path / "out")
    assert found.uses["customerId"] == "hashed"


def test_a_column_can_be_given_as_categories(tmp_path: Path) -> None:
    cells = [
        lambda row: 94110 + row % 30,
        lambda row: 20240101 + row % 28,
        lambda row: "-" if row % 60 == 0 else row % 9,
    ]
    path = table(tmp_path / "a.csv", rows(*cells, yes, header="zip,day,kind,label"))
    found = drafted(path, "label", tmp_path / "out", "--category", "zip", "--category", "day", "--category", "kind")
    assert (found.code, found.stderr) == (0, "")
    assert found.uses == {"zip": "vocabulary", "day": "vocabulary", "kind": "vocabulary", "label": "label"}
    assert set(found.schema["kind"].string_domain.value) == {*map(str, range(9)), "-"}
    assert found.schema["zip"].type == schema_pb2.BYTES


def test_stored_integers_can_be_categories_and_floats_cannot(tmp_path: Path) -> None:
    columns = {"code": [row % 30 for row in range(ROWS)], "size": [number(row) for row in range(ROWS)]}
    columns["label"] = [yes(row) for row in range(ROWS)]
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    found = drafted(tmp_path / "a.parquet", "label", tmp_path / "out", "--category", "code")
    assert (found.code, found.uses["code"]) == (0, "vocabulary")
    refused = drafted(tmp_path / "a.parquet", "label", tmp_path / "new", "--category", "size")
    assert "--category: 'size' has floats, which the files store as such; expected texts or int" in refused.stderr


def test_numbers_that_stand_for_missing_values_and_similar_classes_are_named(tmp_path: Path) -> None:
    size = lambda row: -999 if row % 9 == 0 else number(row) / 10  # noqa: E731
    answer = lambda row: 99 if row % 8 == 0 else row % 5  # noqa: E731
    age = lambda row: 90 + row % 10  # noqa: E731
    text = rows(size, answer, age, lambda row: ("Yes", "yes ", "No")[row * 31 % 3], header="size,answer,age,label")
    said = drafted(table(tmp_path / "a.csv", text), "label", tmp_path / "out").choices["warnings"]
    assert [line for line in said if "--missing-value" in line] == [
        "'size' is -999 in 14 rows and 0.03 to 9.78 in all others; if -999 means a missing value, give "
        "--missing-value=-999",
        "'answer' is 99 in 15 rows and 0 to 4 in all others; if 99 means a missing value, give --missing-value=99",
    ]
    assert "classes 'Yes', 'yes ' differ only in case or blanks; if they mean the same, write them alike" in said
    found = drafted(tmp_path / "a.csv", "label", tmp_path / "new", "--max-rows", "100")
    [said] = [line for line in found.choices["warnings"] if line.startswith("'size' is -999")]
    assert "rows of the sample and" in said


def test_texts_that_are_too_long_to_hash_on_a_device_switch_it_off(tmp_path: Path) -> None:
    long = [f"{row % 1100}-{'x' * 70}" for row in range(2400)]
    text = "\n".join(["name,size,label", *(f"{each},{number(row)},{yes(row)}" for row, each in enumerate(long))])
    found = drafted(table(tmp_path / "a.csv", text), "label", tmp_path / "out")
    assert (found.code, found.uses["name"]) == (0, "hashed")
    assert found.settings["tflite"] == {"enabled": False}
    assert "no model for devices" in " ".join(found.choices["warnings"])


def test_values_that_repeat_in_the_table_may_be_unique_in_a_sample(tmp_path: Path) -> None:
    cells = [lambda row: f"c{row * 7919 % 1500}", lambda row: f"u{row}", lambda row: row * 31 % 1200, number, yes]
    path = table(tmp_path / "a.csv", rows(*cells, count=6000, header="code,name,user_id,size,label"))
    found = drafted(path, "label", tmp_path / "out", "--max-rows", "300")
    assert (found.code, found.uses["code"], found.uses["user_id"]) == (0, "hashed", "hashed")
    assert found.reasons["name"] == "a different value in every row of the sample"
    assert any("'user_id' has the same value in several rows" in line for line in found.choices["warnings"])


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("patient", lambda row: row // 4),
        ("customer_id", lambda row: f"C{row % 37}"),
        ("country", lambda row: f"land {row % 40}"),  # each three times
    ],
)
def test_groups_that_a_random_split_spreads_are_named(tmp_path: Path, name: str, cell: Callable[[int], object]) -> None:
    path = table(tmp_path / "a.csv", rows(cell, number, yes, header=f"{name},size,label"))
    found = drafted(path, "label", tmp_path / "out")
    said = [line for line in found.choices["warnings"] if "random split" in line]
    assert len(said) == 1
    assert said[0].endswith(f"if you predict for new values, give --group '{name}'")
    by_group = drafted(path, "label", tmp_path / "new", "--group", name)
    assert not [line for line in by_group.choices["warnings"] if "random split" in line]
    [few] = [line for line in by_group.choices["warnings"] if line.startswith("few groups: ")]
    assert few.endswith("are in the eval split, so metrics depend on which ones")


def test_integers_that_identify_something_and_hardly_repeat_are_left_out(tmp_path: Path) -> None:
    text = rows(number, lambda row: row % 100 * 7919, yes, header="a,patient id,label")
    found = drafted(table(tmp_path / "a.csv", text), "label", tmp_path / "out")
    assert found.uses["patient id"] == "left out"
    assert found.reasons["patient id"] == "values that hardly repeat"


def test_large_integers_of_parquet_are_drafted(tmp_path: Path) -> None:
    columns = {
        "a": [(number % 97 - 48) * 10**17 + number for number in range(ROWS)],
        "label": [(2**62, -(2**62), 0)[number * 31 % 3] for number in range(ROWS)],
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    found = drafted(tmp_path / "a.parquet", "label", tmp_path / "out")
    assert (found.code, found.stderr) == (0, "")
    assert found.settings["label"]["classes"] == [str(-(2**62)), "0", str(2**62)]
    assert found.uses["a"] == "dense"


def test_a_few_values_of_which_one_is_text_are_classes(tmp_path: Path) -> None:
    text = rows(number, word, lambda row: "5+" if row % 99 == 0 else row * 31 % 4 + 1, count=2_000)
    found = drafted(table(tmp_path / "a.csv", text), "label", tmp_path / "out")
    assert (found.code, found.stderr) == (0, "")
    assert found.settings["label"]["classes"] == ["1", "2", "3", "4", "5+"]
    assert any("'label' is read as text: 99% of its values are numbers" in line for line in found.choices["warnings"])


def test_warnings_name_leaks_imbalance_near_duplicates_and_few_rows(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    numbers = draw.normal(size=400)
    columns = {
        "a": numbers,
        "b": numbers * 2 + 1 + draw.normal(0, 1e-4, 400),
        "c": np.where(numbers > 1.7, "high", "low"),
        "leak": np.where(numbers > 1.7, 5.0, 0.0) + draw.normal(0, 0.5, 400),
        "label": np.where(numbers > 1.7, "bad", "good"),
    }
    columns["c"][0] = "high"  # not exactly the label under another name
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(columns), path)
    found = drafted(path, "label", tmp_path / "out")
    assert (found.code, found.stderr) == (0, "")
    text = "\n".join(found.choices["warnings"])
    assert "too few rows: the eval split will have about 80" in text
    assert "imbalance: only " in text
    assert "'a' and 'b' are almost the same numbers" in text
    assert "'leak' may leak the label: alone it predicts" in text
    assert "'c' may leak the label: alone it predicts" in text
    assert drafted(path, "label", tmp_path / "new", "--leave-out", "c").uses["c"] == "left out"
    settings = tmp_path / "out/configs/a.yaml"
    settings.write_text(settings.read_text().replace("# class_weights: balanced ", "class_weights: balanced "))
    assert load_config(settings).training.class_weights == "balanced"


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.tfrecord"])
def test_each_format_gives_the_same_choices(tmp_path: Path, name: str) -> None:
    columns = {
        "id": pa.array(range(100, 220)),
        "size": pa.array([float(number(row)) if row % 9 else None for row in range(120)], pa.float32()),
        "kind": pa.array([word(row) if row % 7 else None for row in range(120)]),
        "label": pa.array([str(yes(row)) for row in range(120)]),
    }
    path = tmp_path / "data" / name
    path.parent.mkdir()
    if name.endswith("parquet"):
        pq.write_table(pa.table(columns), path)
    elif name.endswith("tfrecord"):
        with tf.io.TFRecordWriter(str(path)) as writer:
            as_bytes = {
                key: each.cast(pa.binary()) if each.type == pa.string() else each for key, each in columns.items()
            }
            for record in to_bytes(encode(as_bytes)):
                writer.write(record)
    else:
        pa.csv.write_csv(pa.table(columns), path)
    found = drafted(path.parent, "label", tmp_path / "out")
    assert (found.code, found.stderr) == (0, "")
    assert dict(sorted(found.uses.items())) == {
        "id": "left out",
        "kind": "vocabulary",
        "label": "label",
        "size": "dense+missing",
    }
    assert {key: each.type for key, each in found.schema.items()} == {"id": 2, "kind": 1, "label": 1, "size": 3}
    assert found.settings["data"]["path"] == str(path.parent)
    assert found.settings["data"]["pattern"] == f"*{path.suffix}"


def test_the_plan_of_a_small_and_of_a_large_table() -> None:
    small, large = make_plan(150, 4, "binary"), make_plan(300_000, 20, "binary")
    assert (small.batch_size, small.steps, small.tuned) == (16, 600, False)
    assert (large.batch_size, large.steps, large.tuned) == (512, 6_000, False)
    assert small.hyperparameters["hidden_units"] < large.hyperparameters["hidden_units"]
    assert make_plan(10_000, 20, "regression").tuned
    for count in (50, 1_000, 30_000, 10_000_000):
        plan = make_plan(count, 10, "multiclass")
        assert 20 <= plan.steps // plan.evaluate_every <= 30
    assert small.guard_seconds is None
    assert make_plan(2_000, 1_500, "binary").guard_seconds == 3_000


def skewed(row: int) -> float:
    return round(math.exp(row * 7919 % 101 / 12), 2)


@pytest.mark.parametrize(
    ("label", "metric"),
    [
        (yes, "auc"),
        (word, "loss"),
        (lambda row: row * 7919 % 1013 / 7, "mse"),
        (skewed, "mae"),
        (lambda row: skewed(row) if row % 5 < 2 else 0, "mse"),  # the median is 0
    ],
)
def test_a_model_has_to_be_better_than_the_trivial_one(
    tmp_path: Path, label: Callable[[int], object], metric: str
) -> None:
    found = drafted(table(tmp_path / "a.csv", rows(number, word, label)), "label", tmp_path / "out")
    first, second = found.choices["thresholds"]
    assert found.settings["evaluation"]["thresholds"] == [first, second]
    assert first == {"metric": metric, "better_than_trivial": 0.05}
    assert {"min_change", "max_change"} & set(second)
    assert found.settings["label"].get("log", False) == (metric == "mae")
    by_chance = any(f"{metric} is only known to" in line for line in found.choices["warnings"])  # on 24 eval rows
    assert by_chance or metric == "loss"  # whose interval is not known


@pytest.mark.parametrize(
    ("label", "metrics"),
    [
        (yes, ["auc", "accuracy", "f1"]),
        (lambda row: "yes" if row % 7 == 0 else "no", ["auc", "pr_auc", "f1"]),  # imbalanced
        (word, ["accuracy", "balanced_accuracy", "f1_macro"]),
        (lambda row: row * 7919 % 1013 / 7, ["rmse", "mae", "r2"]),
    ],
)
def test_the_most_telling_metrics_come_first(
    tmp_path: Path, label: Callable[[int], object], metrics: list[str]
) -> None:
    found = drafted(table(tmp_path / "a.csv", rows(number, word, label)), "label", tmp_path / "out")
    assert found.settings["evaluation"]["metrics"][:3] == metrics
    text = next((tmp_path / "out").rglob("*.yaml")).read_text()
    assert ("accuracy says little" in text) == ("pr_auc" in metrics)


def test_lists_of_parquet_are_used_and_a_device_is_off_for_words(tmp_path: Path) -> None:
    likes = [["a", "b", "c", "d"][: row % 5] for row in range(120)]
    marks = [[row / 2, row * 7 % 11][: row % 3] for row in range(120)]
    columns = {"likes": likes, "marks": marks, "label": [row * 7 % 2 for row in range(120)]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    found = drafted(tmp_path / "a.parquet", "label", tmp_path / "out")
    assert found.uses == {"likes": "tags", "marks": "numbers", "label": "label"}
    assert found.settings["features"] == {"tags": {"likes": {"max_length": 6}}, "numbers": {"marks": {"max_length": 3}}}
    assert found.reasons["likes"] == "up to 4 values of 4 per row"
    assert found.schema["likes"].value_count.min == 1
    assert 0 < found.schema["likes"].presence.min_fraction < 0.8  # an empty list is a missing value
    assert not found.settings["tflite"]["enabled"]
