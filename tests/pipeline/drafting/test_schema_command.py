from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from click.testing import CliRunner, Result
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from custom_components.arrow_example_gen.encoding import encode, to_bytes
from custom_components.arrow_example_gen.table import Table
from pipeline.drafting.schema_command import main

CSV = b"trips,fare,payment\n1,2.5,cash\n,,card\n3,4,cash\n"


def drafted(folder: Path, pattern: str) -> Result:
    arguments = ["--data", str(folder), "--pattern", pattern, "--out", str(folder / "new/schema.pbtxt")]
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("pattern", ["{SPAN}/*.csv", "*.parquet", "*.tfrecord"])
def test_files_of_each_format_give_the_same_schema(tmp_path: Path, pattern: str) -> None:
    for span, content in (("1", b"other\n1\n"), ("2", CSV)):
        (tmp_path / span).mkdir()
        (tmp_path / span / "a.csv").write_bytes(content)
    columns = {"trips": [1, None, 3], "fare": [2.5, None, 4.0], "payment": ["cash", "card", "cash"]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        path = str(tmp_path / "2/a.csv")
        table = Table.of("csv", path)
        for batch in table.read(path):
            assert isinstance(batch, pa.RecordBatch)
            for record in to_bytes(encode(table.to_columns(batch, table.infer_types(path), path, 0))):
                writer.write(record)
    result = drafted(tmp_path, pattern)
    assert (result.exit_code, result.exception) == (0, None), result.output
    assert "3 columns from 1 file." in result.output
    schema = text_format.Parse((tmp_path / "new/schema.pbtxt").read_text(), schema_pb2.Schema())
    found = [(each.name, each.type, each.presence.min_fraction == 1) for each in schema.feature]
    expected = [
        ("trips", schema_pb2.INT, False),
        ("fare", schema_pb2.FLOAT, False),
        ("payment", schema_pb2.BYTES, True),
    ]
    assert found == (
        sorted(expected) if pattern == "*.tfrecord" else expected
    )  # records do not keep the order of columns


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("*.txt", "pattern: found '*.txt', whose extension names no format"),
        ("*.parquet", "found no file that matches *.parquet"),
        ("*.csv", "a.csv: line 3: found 1 value; expected 2"),
    ],
)
def test_a_table_that_cannot_be_read_ends_in_one_line(tmp_path: Path, pattern: str, said: str) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,2\n3\n")
    result = drafted(tmp_path, pattern)
    assert result.exit_code == 1
    assert said in result.output
    assert len(result.output.splitlines()) == 1


def test_a_schema_that_cannot_be_written_ends_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,2\n")
    (tmp_path / "new").touch()
    result = drafted(tmp_path, "*.csv")
    assert result.exit_code == 1
    assert "File exists" in result.output
    assert result.output.count("\n") == 1
