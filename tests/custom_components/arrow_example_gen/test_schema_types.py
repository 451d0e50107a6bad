"""Columns get the types that the schema names, without loss, or an error with the line."""

import gzip
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from ingest import ingest, parsed

from custom_components.arrow_example_gen.component import SchemaRules
from custom_components.arrow_example_gen.executor import batches_of
from custom_components.arrow_example_gen.formats.csv_types import CellError, parse
from custom_components.arrow_example_gen.formats.dialect import COMMAS, Dialect
from custom_components.arrow_example_gen.formats.files import TableError
from custom_components.arrow_example_gen.source import format_of
from custom_components.arrow_example_gen.splits.hash_split import HashSplit
from custom_components.arrow_example_gen.splits.strategy import NumberedFile
from custom_components.arrow_example_gen.table import RowChecks, Table, merge_types
from custom_components.shared.split_hash import Split

TYPES = {"fare": "FLOAT", "trips": "INT", "zip": "BYTES"}


@pytest.mark.parametrize(
    ("cells", "kind", "expected"),
    [
        (["1", "2", ""], "FLOAT", [1.0, 2.0, None]),
        (["+1", " 7", "1_000", "1e3"], "FLOAT", [1, 7, 1000, 1000]),
        (["inf", "-Infinity", "1.5"], "FLOAT", [math.inf, -math.inf, 1.5]),
        (["0123", "00", "1e5", ""], "BYTES", [b"0123", b"00", b"1e5", None]),
        (["3.0", "-4", "1e3", ""], "INT", [3, -4, 1000, None]),
        (["+5", "1_000", str(2**63 - 1)], "INT", [5, 1000, 2**63 - 1]),
        (["", ""], "INT", [None, None]),
        (["NA", "?", "1"], "FLOAT", [None, None, 1.0]),
        (["NA", "?", "1"], "BYTES", [None, None, b"1"]),
    ],
)
def test_cells_become_the_type_of_the_schema(cells: list[str], kind: str, expected: list[Any]) -> None:
    assert parse(pa.array(cells), kind, ["NA", "?"]).to_pylist() == expected


@pytest.mark.parametrize(
    ("cell", "kind", "said"),
    [
        ("NA", "FLOAT", "found 'NA'; expected a number, as in the schema"),
        ("nan(1)", "FLOAT", "found 'nan(1)'; expected a number"),
        ("0x10", "FLOAT", "found '0x10'; expected a number"),
        ("1e39", "FLOAT", "found '1e39'; expected a number that fits into float32"),
        ("1e400", "FLOAT", "found '1e400'; expected a number that fits into float32"),
        ("1.5", "INT", "found '1.5'; expected an integer"),
        ("0x10", "INT", "found '0x10'; expected an integer"),
        ("1e17", "INT", "found '1e17'; expected an integer"),
        ("nan", "INT", "found 'nan'; expected an integer"),
        (str(2**63), "INT", f"found '{2**63}'; expected an integer of 64 bits"),
        ("\x1b[31mred", "INT", r"found '\x1b[31mred'; expected an integer"),
    ],
)
def test_a_cell_that_does_not_have_the_type_is_refused(cell: str, kind: str, said: str) -> None:
    with pytest.raises(CellError) as caught:
        parse(pa.array(["1", cell, "2"]), kind)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("dialect", [COMMAS, Dialect(";", "utf-16")])
def test_a_csv_column_has_the_type_of_the_schema_whatever_its_cells_look_like(tmp_path: Path, dialect: Dialect) -> None:
    text = "fare,trips,zip,tip\n1,2.0,00123,4\n2,,?,5\n".replace(",", dialect.delimiter)
    (tmp_path / "a.csv").write_text(text, encoding=dialect.encoding)
    splits = parsed(
        ingest(tmp_path, tmp_path / "out", rules=SchemaRules(TYPES), missing_values=("?",), dialect=dialect)
    )
    [first, second] = sorted(
        (row.features for rows in splits.values() for row in rows),
        key=lambda row: row.feature["tip"].int64_list.value[0],
    )
    assert first.feature["fare"].float_list.value == [1.0]
    assert first.feature["trips"].int64_list.value == [2]
    assert first.feature["zip"].bytes_list.value == [b"00123"]
    assert sorted(second.feature) == ["fare", "tip"]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_cell_of_another_type_is_named_with_its_line(tmp_path: Path, name: str) -> None:
    text = b'fare,note\n1,"two\nlines"\n\n2,x\n' + b"3,x\n" * 20_000 + b"NA,x\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    table = Table.of("csv", str(path), TYPES)
    with pytest.raises(TableError) as caught:
        read(table, str(path))
    assert str(caught.value) == (
        f"{path}: line 20006: column 'fare': found 'NA'; expected a number, as in the schema; if it means a missing "
        "value, add it to data.missing_values"
    )


def read(table: Table, *paths: str) -> list[Any]:
    """The rows of files, after all checks, as ExampleGen converts them."""
    types, checks, found = merge_types(map(table.infer_types, paths)), RowChecks(table), []
    for path in paths:
        before = 0
        for batch in table.read(path):
            checks.check(batch, path, before)
            before += len(batch)
            if isinstance(batch, pa.RecordBatch):
                found.append({name: each.to_pylist() for name, each in table.to_columns(batch, types, path, 0).items()})
    return found


def parquet(path: Path, **columns: Any) -> str:
    pq.write_table(pa.table(columns), path)
    return str(path)


def test_parquet_numbers_become_the_type_of_the_schema(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", fare=[1, 2**53 + 1], trips=[1.0, None], zip=["01", None])
    assert read(Table.of("parquet", path, TYPES), path) == [
        {"fare": [1.0, float(2**53)], "trips": [1, None], "zip": [b"01", None]}
    ]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"zip": [1]}, "column 'zip' is int64; expected BYTES, as in the schema: write it with that type"),
        ({"fare": ["1"]}, "column 'fare' is string; expected FLOAT"),
        ({"trips": [["1"]]}, "column 'trips' is list<.*>; expected INT"),
        ({"trips": [1.0, 1.5]}, "column 'trips': row 2: .*; expected a value that fits into int64"),
    ],
)
def test_a_parquet_column_of_another_type_is_named(tmp_path: Path, columns: dict[str, Any], said: str) -> None:
    path = parquet(tmp_path / "a.parquet", **columns)
    with pytest.raises(TableError, match=rf"a\.parquet: {said}"):
        read(Table.of("parquet", path, TYPES), path)


def test_parquet_files_differ_although_the_first_one_has_no_type(tmp_path: Path) -> None:
    first = parquet(tmp_path / "a.parquet", x=pa.nulls(1))
    second = parquet(tmp_path / "b.parquet", x=["one"])
    third = parquet(tmp_path / "c.parquet", x=[1])
    table = Table.of("parquet", first)
    assert len(read(table, first, second)) == 2
    with pytest.raises(TableError, match=r"c\.parquet: column 'x' becomes int64, but bytes in b\.parquet; expected"):
        read(table, first, second, third)


def record(**features: Any) -> bytes:
    kinds = {int: "int64_list", float: "float_list", bytes: "bytes_list"}
    found = {name: {kinds[type(value)]: {"value": [value]}} for name, value in features.items()}
    return bytes(tf.train.Example(features={"feature": found}).SerializeToString())


SEQUENCE = tf.train.SequenceExample(
    context={"feature": {"x": {"int64_list": {"value": [1]}}}},
    feature_lists={"feature_list": {"steps": {"feature": [{"int64_list": {"value": [1]}}]}}},
).SerializeToString()


@pytest.mark.parametrize(
    ("files", "types", "said"),
    [
        ([[record(x=1)] * 3 + [SEQUENCE]], {}, "0.tfrecord: record 4: found a tf.SequenceExample, whose feature lists"),
        ([[record(x=1), record(x=2.5)]], {}, "0.tfrecord: record 2: feature 'x' is FLOAT, but INT in .*: record 1;"),
        (
            [[record(x=1, y=b"")] * 20_000 + [record(x=b"")]],
            {},
            "0.tfrecord: record 20001: feature 'x' is BYTES, but INT",
        ),
        ([[record(x=1)], [record(x=b"1")]], {}, "1.tfrecord: record 1: feature 'x' is BYTES, but INT in .*0.tfrecord"),
        (
            [[record(x=1.5), record(x=1)]],
            {"x": "FLOAT"},
            "0.tfrecord: record 2: feature 'x' is INT, but FLOAT in the sc",
        ),
        ([[record(x=1), b"\xff\xff"]], {}, "0.tfrecord: record 2: not a valid tf.Example; expected one per record"),
    ],
)
def test_records_of_another_kind_are_named(
    tmp_path: Path, files: list[list[bytes]], types: dict[str, str], said: str
) -> None:
    paths = [str(tmp_path / f"{number}.tfrecord") for number in range(len(files))]
    for path, content in zip(paths, files, strict=True):
        with tf.io.TFRecordWriter(path) as writer:
            for each in content:
                writer.write(each)
    kind = format_of(paths[0])
    assert kind
    with pytest.raises(TableError, match=said):
        read(Table.of(kind, paths[0], types), *paths)


def test_record_with_several_values_where_one_is_needed_is_named() -> None:
    several = tf.train.Example(features={"feature": {"x": {"int64_list": {"value": [1, 2]}}}}).SerializeToString()
    table = Table("tfrecord", "a.tfrecord", None)
    RowChecks(table, {"y"}).check([record(x=1), several], "a.tfrecord", 0)
    with pytest.raises(
        TableError, match=r"a\.tfrecord: record 12: column 'x' has 2 values; expected one value per row"
    ):
        RowChecks(table, {"x"}).check([record(x=1), record(y=1), several, several], "a.tfrecord", 9)


def test_example_gen_checks_records_by_itself(tmp_path: Path) -> None:
    """Where rows are read remotely, nothing has read them before."""
    path = str(tmp_path / "a.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(SEQUENCE)
    batches = batches_of(
        NumberedFile(0, path), Table.of("tfrecord", path), ["all"], {}, HashSplit(Split(("all",), (1,), 0, None))
    )
    with pytest.raises(TableError, match=r"a\.tfrecord: record 1: found a tf\.SequenceExample"):
        list(batches)


@pytest.mark.parametrize("values", [[1.0, -1e300], [[1.0], [2.0, -1e300]]])
def test_a_parquet_number_that_float32_cannot_hold_is_named_with_its_row(tmp_path: Path, values: list[Any]) -> None:
    path = str(tmp_path / "a.parquet")
    pq.write_table(pa.table({"fare": values}), path)
    with pytest.raises(
        TableError, match=r"column 'fare': row 2: found -1e\+300; expected a value that fits into .*float"
    ):
        list(Table.of("parquet", path).read(path))


def test_infinities_and_nan_in_parquet_stay(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    pq.write_table(pa.table({"fare": [math.inf, -math.inf, math.nan, 1e-300]}), path)
    [batch] = Table.of("parquet", path).read(path)
    assert isinstance(batch, pa.RecordBatch)
    found = batch.column("fare").to_pylist()
    assert (found[:2], math.isnan(found[2]), found[3]) == ([math.inf, -math.inf], True, 0.0)
