"""The rows that each format's reader yields, and its errors."""

import decimal
import gzip
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from custom_components.arrow_example_gen.encoding import encode, to_bytes
from custom_components.arrow_example_gen.formats import csv_files, parquet_files, text_files, tfrecord_files
from custom_components.arrow_example_gen.formats.dialect import Dialect, checked_encoding
from custom_components.arrow_example_gen.formats.files import BATCH_ROWS, TableError
from custom_components.arrow_example_gen.source import format_of
from custom_components.arrow_example_gen.table import Table

CSV = b"amount,city\n1,Oslo\n,\n2.5,Z\xc3\xbcrich\n"
ROWS = [{"amount": [1.0], "city": [b"Oslo"]}, {}, {"amount": [2.5], "city": ["Zürich".encode()]}]
LONG = b"x" * (1 << 20)


def written(path: Path, content: bytes | pa.Table | list[bytes]) -> str:
    """Writes text as CSV, a table as Parquet, and records as TFRecord."""
    if isinstance(content, pa.Table):
        pq.write_table(content, path)
    elif isinstance(content, list):
        with tf.io.TFRecordWriter(str(path), "GZIP" if path.suffix == ".gz" else "") as writer:
            for record in content:
                writer.write(record)
    else:
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return str(path)


def rows(path: str, first: str = "") -> list[dict[str, Any]]:
    """The rows of a file, decoded from their tf.Examples."""
    kind = format_of(path)
    assert kind
    table = Table.of(kind, first or path)
    types = table.infer_types(path)
    found: list[dict[str, Any]] = []
    for batch in table.read(path):
        columns = {} if isinstance(batch, list) else table.to_columns(batch, types, path, len(found))
        for row in batch if isinstance(batch, list) else to_bytes(encode(columns)):
            features = tf.train.Example.FromString(row).features
            assert tf.train.Example(features=features).SerializeToString(deterministic=True) == row
            found.append({name: values(feature) for name, feature in sorted(features.feature.items())})
    return found


def values(feature: tf.train.Feature) -> list[Any]:
    return list(getattr(feature, feature.WhichOneof("kind")).value)


def refusal(path: str, first: str = "") -> str:
    """The error for a file, without the path."""
    with pytest.raises(TableError) as caught:
        rows(path, first)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"{path}: ")
    return line.removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_csv_plain_and_gzipped(tmp_path: Path, name: str) -> None:
    assert rows(written(tmp_path / name, CSV)) == ROWS


def test_a_gzip_file_of_several_members(tmp_path: Path) -> None:
    (tmp_path / "table.csv.gz").write_bytes(b"".join(gzip.compress(part) for part in (CSV[:20], CSV[20:])))
    assert rows(str(tmp_path / "table.csv.gz")) == ROWS


def test_a_column_alone_has_no_blank_rows(tmp_path: Path) -> None:
    assert rows(written(tmp_path / "table.csv", b'a\n1\n\n""\n\r\n2')) == [{"a": [1]}, {}, {"a": [2]}]


def test_a_long_row_is_read_completely(tmp_path: Path) -> None:
    assert rows(written(tmp_path / "table.csv", b"a,b\n1," + LONG * 3 + b"\n")) == [{"a": [1], "b": [LONG * 3]}]


def test_more_rows_than_a_batch_has(tmp_path: Path) -> None:
    path = written(tmp_path / "table.csv", b"a\n" + b"".join(b"%d\n" % number for number in range(40_000)))
    assert [row["a"] for row in rows(path)] == [[number] for number in range(40_000)]
    assert max(map(len, csv_files.read_rows(path, ["a"]))) == BATCH_ROWS


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (CSV + b"3\n", "line 5: found 1 value; expected 2, as in the header"),
        (CSV.replace(b",", b";"), "line 1: the columns look separated by semicolons; expected commas"),
        (CSV + b"3,b,c\n", "line 5: found 3 values; expected 2"),
        (CSV + b'\n3,"two\nlines"\n4,b,c\n', "line 8: found 3 values"),
        (CSV + b'"3\n4,b\n', "line 5: found 1 value"),  # from a quote that is never closed to the file's end
        (CSV + b'3,b\n4,"b\n5,c\n', "line 6: found a quote that is never closed; expected a closing quote"),
        (CSV + b'3,"', "line 5: found a quote that is never closed"),
        (CSV + b"3,\xff\n", "line 5: byte 0xff is not UTF-8; save the file as UTF-8, or set data.encoding to its"),
        (CSV + b"3," + LONG * 9 + b"\n", "line 5: found a row of more than 4 MiB; .* is a quote unclosed"),
        (CSV + b'3,"' + b"more\n" * (2 << 20), "line 5: found a row of more than 4 MiB"),
    ],
)
@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_a_csv_file_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    assert re.match(said, refusal(written(tmp_path / name, content)))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1252", "shift_jis", "cp037"])
@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_text_in_other_encodings_is_read_as_utf8_in_small_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, encoding: str
) -> None:
    monkeypatch.setattr(text_files, "CHUNK_BYTES", 3)  # in the middle of a character
    text = "a,b\n1,東京\n" if encoding in ("utf-16", "shift_jis") else "a,b\n1,Zürich\n"
    path = written(tmp_path / name, text.encode(encoding, "replace"))
    with text_files.open_text(path, checked_encoding(encoding)) as file:
        assert file.read() == text.encode(encoding, "replace").decode(encoding).encode()


@pytest.mark.parametrize("delimiter", [" ", "e", ".", "-", "~"])
def test_any_ascii_character_can_separate_cells(tmp_path: Path, delimiter: str) -> None:
    text = 'a,b\n1,"x"\n2,"y"\n'.replace(",", delimiter)
    batches = list(
        csv_files.read_rows(written(tmp_path / "t.csv", text.encode()), ["a", "b"], None, Dialect(delimiter))
    )
    assert [row for batch in batches for row in batch.to_pylist()] == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]
    with pytest.raises(TableError, match="line 3: found a quote that is never closed"):
        list(csv_files.read_rows(written(tmp_path / "u.csv", text[:-3].encode()), ["a", "b"], None, Dialect(delimiter)))


@pytest.mark.parametrize(("encoding", "line"), [("ascii", 70_001), ("utf-16", 70_001), ("shift_jis", 70_001)])
def test_a_byte_of_another_encoding_is_reported_with_its_line(tmp_path: Path, encoding: str, line: int) -> None:
    good = ("a,b\n" + "1,some text\n" * 69_999).encode(encoding)
    path = written(tmp_path / "table.csv", good + b"\xff\xdc\xff" * 2 + "\n1,b\n".encode(encoding))
    with pytest.raises(TableError, match=rf"line {line}: byte 0x.. is not {encoding}; expected text"):
        list(csv_files.read_rows(path, ["a", "b"], None, Dialect(encoding=encoding)))


def test_a_truncated_gzip_file_is_reported_with_its_last_complete_line(tmp_path: Path) -> None:
    text = b"amount,city\n" + b"".join(b"%d,town %d\n" % (number * 7919 % 1000, number) for number in range(20_000))
    whole = gzip.compress(text)
    path = tmp_path / "table.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    found = re.match(r"after line (\d+): the gzip stream is truncated or damaged", refusal(str(path)))
    assert found
    assert 5_000 < int(found[1]) < 15_000
    path.write_bytes(whole[:20])
    assert refusal(str(path)).startswith("after line 0: the gzip stream is truncated")
    path.write_bytes(text)
    assert refusal(str(path)) == "the extension is .gz, but the file is not gzipped; expected a gzip file"


TYPES = {
    "flag": pa.array([True, None, False]),
    "small": pa.array([1, None, -3], pa.int8()),
    "unsigned": pa.array([2**63 - 1, None, 0], pa.uint64()),
    "double": pa.array([0.1, None, float("inf")], pa.float64()),
    "half": pa.array([0.5, None, 2.0], pa.float32()).cast(pa.float16()),
    "text": pa.array(["a", None, "Zürich"]),
    "large": pa.array(["a", None, ""], pa.large_string()),
    "bytes": pa.array([b"\xff", None, b"b"], pa.binary()),
    "fixed": pa.array([b"ab", None, b"cd"], pa.binary(2)),
    "coded": pa.array(["a", None, "a"]).dictionary_encode(),
    "numbers": pa.array([[1, 2], None, []], pa.list_(pa.int32())),
    "names": pa.array([["a", "b"], [], ["c"]], pa.large_list(pa.string())),
    "pair": pa.array([[1.5, 2.5], [0.0, 0.0], [0.5, 0.25]], pa.list_(pa.float32(), 2)),
    "nothing": pa.nulls(3),
    "zeros": pa.array([0.0, 1.0, -0.0], pa.float64()),
}


def test_parquets_types(tmp_path: Path) -> None:
    first, second, third = rows(written(tmp_path / "table.parquet", pa.table(TYPES)))
    assert first == {
        "flag": [1],
        "small": [1],
        "unsigned": [2**63 - 1],
        "double": [pytest.approx(0.1)],
        "half": [0.5],
        "text": [b"a"],
        "large": [b"a"],
        "bytes": [b"\xff"],
        "fixed": [b"ab"],
        "coded": [b"a"],
        "numbers": [1, 2],
        "names": [b"a", b"b"],
        "pair": [1.5, 2.5],
        "zeros": [0.0],
    }
    assert second == {"pair": [0.0, 0.0], "zeros": [1.0]}
    assert repr(third["zeros"]) == "[-0.0]"
    assert sorted(TYPES.keys() - third.keys()) == ["nothing", "numbers"]
    assert (third["double"], third["large"], third["names"]) == ([float("inf")], [b""], [b"c"])


def test_parquet_in_several_row_groups(tmp_path: Path) -> None:
    table = pa.table({"a": range(50_000), "b": ["x" * (number % 7) for number in range(50_000)]})
    pq.write_table(table, tmp_path / "table.parquet", row_group_size=7_000)
    assert [row["a"] for row in rows(str(tmp_path / "table.parquet"))] == [[number] for number in range(50_000)]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (
            pa.array([decimal.Decimal(10**30)], pa.decimal128(38, 0)),
            "'x': row 1: .*; expected a value that fits into int64",
        ),
        (
            pa.array([decimal.Decimal(10**50)], pa.decimal256(60, 1)),
            "'x': row 1: found 1e.50; expected a value that fits into float",
        ),
        (pa.array([1, 2**63], pa.uint64()), r"'x': row 2: .* expected a value that fits into int64"),
        (
            pa.array([[1], [2**63]], pa.list_(pa.uint64())),
            r"'x': row 2: .* expected a value that fits into lists of int64",
        ),
        (pa.array([[1], [2, None]]), r"'x': row 2: found null within a list"),
    ],
)
def test_a_parquet_column_that_cannot_become_a_feature(tmp_path: Path, column: pa.Array, said: str) -> None:
    path = written(tmp_path / "table.parquet", pa.table({"a": [1] * len(column), "x": column}))
    assert re.match(f"column {said}", refusal(path))


ISO = "2013-01-01T05:00:00"
SECONDS = 1_357_016_400
TIMES = {
    "seconds": (pa.array([SECONDS], pa.timestamp("s")), ISO),
    "zoned": (pa.array([SECONDS * 1000], pa.timestamp("ms", "America/New_York")), f"{ISO}Z"),
    "micros": (pa.array([SECONDS * 10**6 + 120], pa.timestamp("us")), f"{ISO}.00012"),
    "nanos": (pa.array([SECONDS * 10**9 + 1], pa.timestamp("ns", "UTC")), f"{ISO}.000000001Z"),
    "early": (pa.array([-1], pa.timestamp("us")), "1969-12-31T23:59:59.999999"),
    "coded": (pa.array([SECONDS * 1000], pa.timestamp("ms")).dictionary_encode(), ISO),
    "day": (pa.array([15_706], pa.date32()), "2013-01-01"),
    "day of milliseconds": (pa.array([15_706 * 86_400_000], pa.date64()), "2013-01-01"),
    "clock": (pa.array([3_720], pa.time32("s")), "01:02:00"),
    "fine clock": (pa.array([3_720_050_000], pa.time64("us")), "01:02:00.05"),
}


@pytest.mark.parametrize("name", TIMES)
def test_times_of_parquet_become_text_in_iso_8601(tmp_path: Path, name: str) -> None:
    column, expected = TIMES[name]
    column = pa.concat_arrays([column, pa.nulls(1, column.type)])
    path = written(tmp_path / "table.parquet", pa.table({"x": column}))
    assert rows(path) == [{"x": [expected.encode()]}, {}]


def test_decimals_of_parquet_become_integers_or_floats(tmp_path: Path) -> None:
    columns = {
        "whole": pa.array([decimal.Decimal(2**62), None], pa.decimal128(38, 0)),
        "price": pa.array([decimal.Decimal("19.99"), None], pa.decimal128(9, 2)),
        "prices": pa.array([[decimal.Decimal("0.5")], []], pa.list_(pa.decimal128(9, 2))),
    }
    path = written(tmp_path / "table.parquet", pa.table(columns))
    assert rows(path) == [{"whole": [2**62], "price": [pytest.approx(19.99)], "prices": [0.5]}, {}]
    found = parquet_files.read_columns(path, {"whole": "FLOAT"})
    assert found == {"whole": pa.float32(), "price": pa.float32(), "prices": pa.large_list(pa.float32())}


UNREAD = {
    "struct": (pa.array([{"y": 1}]), "make a column for each field"),
    "map": (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), "make a column for each key"),
    "nested": (pa.array([[[1]]]), "flatten it to one list per row"),
    "dates": (pa.array([[0]], pa.list_(pa.date32())), "cast the values to text or numbers"),
    "span": (pa.array([1], pa.duration("s")), "cast it to a number"),
}


@pytest.mark.parametrize("name", UNREAD)
def test_a_column_of_another_type_is_only_refused_if_the_schema_has_it(tmp_path: Path, name: str) -> None:
    column, hint = UNREAD[name]
    path = written(tmp_path / "table.parquet", pa.table({"a": [1], "x": column, "a.b": [2]}))
    assert rows(path) == [{"a": [1], "a.b": [2]}]
    [note] = parquet_files.column_notes(path)
    assert re.fullmatch(rf"column 'x' is [^ ].*, which is not read: {hint} to use it", note)
    with pytest.raises(TableError, match=rf"column 'x' is .*; expected integers, .*: {hint}, or leave it out of the"):
        parquet_files.read_columns(path, {"x": "BYTES"})
    path = written(tmp_path / "table.parquet", pa.table({"x": column}))
    assert refusal(path).startswith("found no column that can be read; column 'x' is ")


def test_a_time_does_not_fit_a_schema_with_a_number(tmp_path: Path) -> None:
    path = written(tmp_path / "table.parquet", pa.table({"x": pa.array([0], pa.date32())}))
    with pytest.raises(TableError, match=r"'x' is date32\[day\], which becomes text,; expected INT, as in the schema"):
        parquet_files.read_columns(path, {"x": "INT"})


def test_columns_of_parquet_without_a_name_of_their_own_get_one(tmp_path: Path) -> None:
    columns = [pa.array([number]) for number in range(4)]
    path = written(tmp_path / "table.parquet", pa.Table.from_arrays(columns, ["Mass", "", "Mass", "mass"]))
    assert rows(path) == [{"Mass": [0], "column_2": [1], "Mass_2": [2], "mass": [3]}]
    types = parquet_files.read_columns(path)
    [batch] = parquet_files.read_rows(path, types, only=["Mass_2", "mass"])
    assert batch.to_pylist() == [{"Mass_2": 2, "mass": 3}]
    assert parquet_files.column_notes(path) == [
        "column 2 has no name: it is 'column_2'",
        "column 3 is another 'Mass': it is 'Mass_2'",
    ]


def test_a_column_is_read_alone_though_another_name_starts_like_it(tmp_path: Path) -> None:
    path = written(tmp_path / "table.parquet", pa.table({"a": [1], "a.b": [2]}))
    [batch] = parquet_files.read_rows(path, parquet_files.read_columns(path), only=["a"])
    assert batch.to_pylist() == [{"a": 1}]


def test_parquet_files_have_the_same_columns_and_types(tmp_path: Path) -> None:
    first = written(tmp_path / "a.parquet", pa.table({"a": pa.array([1], pa.int32()), "b": ["x"]}))
    same = written(tmp_path / "b.parquet", pa.table({"b": pa.nulls(1), "a": pa.array([2], pa.int64())}))
    assert rows(same, first) == [{"a": [2]}]
    other = written(tmp_path / "c.parquet", pa.table({"a": [1.5], "b": ["x"]}))
    assert refusal(other, first) == "column 'a' becomes float, but int64 in a.parquet; expected the same type"
    fewer = written(tmp_path / "d.parquet", pa.table({"a": [1]}))
    assert refusal(fewer, first).startswith("the column 'b' is in a.parquet but not in d.parquet")
    more = written(tmp_path / "e.parquet", pa.table({"a": [1], "b": ["x"], "c": [1]}))
    assert refusal(more, first).startswith("the column 'c' is in e.parquet but not in a.parquet")


def test_a_truncated_or_damaged_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"a": range(9_000)}), path, row_group_size=3_000, compression="gzip", use_dictionary=False)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert re.match("Parquet .*; expected a complete Parquet file$", refusal(str(path)))
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes(200) + whole[middle + 200 :])
    found = re.match(r"after row (\d+): .*; expected a complete Parquet file$", refusal(str(path)))
    assert found
    assert int(found[1]) in range(9_000)
    path.write_bytes(b"")
    assert refusal(str(path)).endswith("expected a complete Parquet file")


RECORDS = [
    tf.train.Example(features={"feature": {"a": {"int64_list": {"value": [n]}}}}).SerializeToString() for n in (1, 2)
]


@pytest.mark.parametrize("name", ["table.tfrecord", "table.tfrecord.gz"])
def test_records_are_passed_on_as_they_are(tmp_path: Path, name: str) -> None:
    odd = b"\n\x00" * 3  # an Example that protobuf would write in another way
    path = written(tmp_path / name, [*RECORDS, b"", odd])
    assert list(tfrecord_files.read_rows(path, None)) == [[*RECORDS, b"", odd]]


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        (slice(0, -1), "record 2: the file ends within the record; expected a complete TFRecord file"),
        (slice(0, -20), "record 2: the file ends within the record"),
        (slice(0, 45), "record 2: the file ends within the record"),
        (
            slice(1, None),
            "record 1: the length does not match its checksum; expected a TFRecord file, with the extension",
        ),
    ],
)
def test_a_truncated_tfrecord_file(tmp_path: Path, cut: slice, said: str) -> None:
    path = Path(written(tmp_path / "table.tfrecord", RECORDS))
    path.write_bytes(path.read_bytes()[cut])
    assert refusal(str(path)).startswith(said)


def test_a_damaged_record(tmp_path: Path) -> None:
    path = Path(written(tmp_path / "table.tfrecord", RECORDS))
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    assert refusal(str(path)).startswith("record 2: the content does not match its checksum")


def test_a_truncated_gzip_of_records(tmp_path: Path) -> None:
    path = Path(written(tmp_path / "table.tfrecord.gz", RECORDS * 1000))
    path.write_bytes(path.read_bytes()[:-30])
    assert re.match(r"after record \d+: the gzip stream is truncated", refusal(str(path)))


def test_batches_of_parquet_hold_few_bytes(tmp_path: Path) -> None:
    path = written(tmp_path / "table.parquet", pa.table({"a": [LONG[:100_000] for _ in range(400)]}))
    pq.write_table(pq.read_table(path), path, use_dictionary=False)
    batches = list(parquet_files.read_rows(path, parquet_files.read_columns(path)))
    assert max(batch.nbytes for batch in batches) < 20 << 20
