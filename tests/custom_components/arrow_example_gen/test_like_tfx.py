"""The same types, values and missing values as TFX's CsvExampleGen, but for empty cells, which are absent here."""

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tensorflow as tf
from conftest import SAMPLE
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ingest import ingest, run_node
from tfx.components import CsvExampleGen
from tfx.components.example_gen.csv_example_gen import executor as tfx_executor
from tfx.proto import example_gen_pb2
from tfx_bsl.coders.csv_decoder import ColumnType, ColumnTypeInferrer

from custom_components.arrow_example_gen.encoding import encode, to_bytes
from custom_components.arrow_example_gen.formats import csv_types
from custom_components.arrow_example_gen.table import Table

NASTY: dict[str, list[str]] = {
    "plain_integers": ["1", "-2", "0", "", "9223372036854775807", "-9223372036854775808"],
    "written_integers": ["+5", "1_000", " 7", "8 ", "007", "-0"],
    "too_long_for_64_bits": ["9223372036854775808", "1", "2", "3", "4", "5"],
    "too_long_for_python": ["1" * 5000, "1", "", "2", "3", "4"],
    "floats": ["1.5", "-.5", "2.", "1e5", "-1E-3", "7"],
    "written_floats": ["+1.5", "1_0.2_5", " 2.5\t", "", "1e400", "1e-400"],
    "not_finite": ["nan", "-nan", "inf", "-Infinity", "NaN", "+INF"],
    "rounded": ["0.1", "16777217", "3.4028236e38", "1e-46", "123456789.123456789", ""],
    "integers_and_floats": ["1", "2", "", "3.0", "4", "5"],
    "integers_and_text": ["1", "2", "", "three", "4", "5.0"],
    "hexadecimal": ["0x10", "1", "2", "3", "4", "5"],
    "foreign_digits": ["١٢", "1", "2", "3", "4", "5"],
    "near_numbers": ["nan(12)", "1,5", "1e", "--1", ".", "0b1"],
    "empty": [""] * 6,
    "text": ["café", "a,b", 'say "hi"', "two\nlines", " ", "'"],
    "line_ends": ["\r\n", "a\r\nb", "", "\n", "x", "y\n"],
    "quoted_numbers": ["1", "", "3", "4", "5", "6"],
    "größe": ["1", "2", "3", "4", "5", "6"],
}
cells = st.one_of(
    st.sampled_from(
        ["", "nan", "-inf", "1_0", "0x1F", "+3", " 4", "1e5", ".5", "5.", "9" * 19, "٣", "1e400", "nan(1)"]
    ),
    st.integers(-(2**65), 2**65).map(str),
    st.floats().map(str),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4),
    st.text("0123456789+-._eExn \t", max_size=6),
)


def without_empty(record: bytes) -> bytes:
    """A record as it would be if features without values were absent."""
    found = tf.train.Example.FromString(record)
    for name, feature in list(found.features.feature.items()):
        if not (feature.bytes_list.value or feature.float_list.value or feature.int64_list.value):
            del found.features.feature[name]
    return bytes(found.SerializeToString(deterministic=True))


def rows_of(splits: dict[str, list[bytes]]) -> list[bytes]:
    return sorted(row for rows in splits.values() for row in rows)


def by_tfx(folder: Path, output: Path) -> list[bytes]:
    files = example_gen_pb2.Input(splits=[example_gen_pb2.Input.Split(name="all", pattern="*.csv")])
    node = CsvExampleGen(input_base=str(folder), input_config=files)
    return sorted(map(without_empty, rows_of(run_node(node, output))))


def test_the_sample_becomes_the_same_records(tmp_path: Path) -> None:
    folder = tmp_path / "table"
    folder.mkdir()
    with SAMPLE.open() as sample:
        (folder / "taxi.csv").write_text("".join(line for number, line in enumerate(sample) if number % 25 == 0))
    ours = rows_of(ingest(folder, tmp_path / "ours"))
    assert len(ours) == 600
    assert ours == by_tfx(folder, tmp_path / "theirs")


@pytest.mark.slow
def test_the_complete_sample_becomes_the_same_records(tmp_path: Path) -> None:
    assert rows_of(ingest(SAMPLE.parent, tmp_path / "ours")) == by_tfx(SAMPLE.parent, tmp_path / "theirs")


def test_a_table_of_nasty_values_becomes_the_same_records(tmp_path: Path) -> None:
    """Two files, where the second one decides some of the types."""
    folder = tmp_path / "table"
    folder.mkdir()
    rows = list(zip(*NASTY.values(), strict=True))
    for name, line_end, part in (("a.csv", "\n", rows[:3]), ("b.csv", "\r\n", rows[3:])):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator=line_end)
            writer.writerow(NASTY)
            writer.writerows(part)
            file.write(line_end)  # a blank line is no row
    ours = rows_of(ingest(folder, tmp_path / "ours"))
    assert len(ours) == 6
    assert ours == by_tfx(folder, tmp_path / "theirs")


def tfx_records(column: list[str]) -> tuple[ColumnType, list[bytes]]:
    """What CsvExampleGen makes of a column, cell by cell."""
    inferrer = ColumnTypeInferrer(["x"], skip_blank_lines=True)
    known: dict[str, Any] = inferrer.create_accumulator()
    for cell in column:
        known = inferrer.add_input(known, [cell.encode()])
    infos = inferrer.extract_output(known)
    to_example = tfx_executor._ParsedCsvToTfExample()
    made = [next(iter(to_example.process([cell.encode()], infos))) for cell in column]
    return infos[0].type, [each.SerializeToString() for each in made]


@settings(deadline=None, max_examples=400)
@given(column=st.lists(cells, min_size=1, max_size=8))
@example(column=["1" * 4300, "1" * 4301])
def test_any_column_has_the_type_and_the_values_that_tfx_gives(column: list[str]) -> None:
    batch = pa.RecordBatch.from_pydict({"x": pa.array(column, pa.string())})
    types = csv_types.infer_types([batch.slice(0, 1), batch.slice(1)])
    kind, records = tfx_records(column)
    names = {ColumnType.UNKNOWN: "EMPTY", ColumnType.INT: "INT", ColumnType.FLOAT: "FLOAT", ColumnType.STRING: "STRING"}
    assert types["x"].name == names[kind]
    ours = to_bytes(encode(Table("csv", "", ["x"]).to_columns(batch, types, "", 0)))
    assert ours == [without_empty(each) for each in records]
    # This is where the two differ.
    assert all("x" in tf.train.Example.FromString(each).features.feature for each in records)
    assert ["x" in tf.train.Example.FromString(each).features.feature for each in ours] == [bool(c) for c in column]
