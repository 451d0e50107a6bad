"""The fingerprint of a table's content: what makes it, and that rows of other files are never recorded under it."""

import argparse
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from apache_beam.io.filesystem import FileMetadata, MatchResult
from apache_beam.io.filesystems import FileSystems
from ingest import SPLITS, run_executor

from artifacts.fingerprint import ContentDigest, FileDigest, file_digest, fingerprint, matches_fingerprint
from custom_components.arrow_example_gen import vertex_driver
from custom_components.arrow_example_gen.component import ArrowExampleGen
from custom_components.arrow_example_gen.driver import Driver
from custom_components.arrow_example_gen.executor import Executor
from custom_components.arrow_example_gen.formats.files import TableError, digest_of
from custom_components.arrow_example_gen.source import Source, format_of
from custom_components.arrow_example_gen.splits.settings import SplitBy
from custom_components.arrow_example_gen.table import Table

CSV = b"amount\n" + b"".join(b"%d\n" % number for number in range(100, 200))


def write(path: Path) -> str:
    """Writes a small file of the format that the name gives."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"amount": range(9), "city": ["Oslo"] * 9}), path)
    elif "tfrecord" in path.name:
        with tf.io.TFRecordWriter(str(path), "GZIP" if path.suffix == ".gz" else "") as writer:
            writer.write(
                tf.train.Example(features={"feature": {"a": {"int64_list": {"value": [1]}}}}).SerializeToString()
            )
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(CSV[:40]) + gzip.compress(CSV[40:]))
    else:
        path.write_bytes(CSV)
    return str(path)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a.tfrecord", "a.tfrecord.gz"])
def test_reading_the_rows_digests_the_complete_file(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    kind = format_of(name)
    assert kind
    digest = ContentDigest()
    assert sum(len(batch) for batch in Table.of(kind, path).read(path, digest)) > 0
    assert digest.result() == file_digest(path)


def test_the_fingerprint_depends_on_content_and_order_only(tmp_path: Path) -> None:
    one, other = FileDigest(1, "a"), FileDigest(1, "b")
    assert len({fingerprint(each) for each in ([one], [other], [one, other], [other, one])}) == 4
    path = write(tmp_path / "a.csv")
    made = fingerprint([file_digest(path)])
    os.utime(path, (1, 1))
    moved = Path(path).rename(tmp_path / "b.csv")
    assert matches_fingerprint([str(moved)], made) is True
    moved.write_bytes(CSV.replace(b"150", b"151"))
    assert matches_fingerprint([str(moved)], made) is False
    assert matches_fingerprint([str(moved)] * 2, made) is False


def resolved(table: Path, checked: str | None = None, test: Path | None = None) -> dict[str, Any]:
    """What the driver makes of the node's properties. TFX caches a node if all of them are the same."""
    by = SplitBy(test=str(test), test_pattern="*.csv") if test else SplitBy()
    node = ArrowExampleGen(Source(str(table), "*.csv", "csv"), SPLITS, by=by, fingerprint=checked)
    properties: dict[str, Any] = Driver(None).resolve_exec_properties(dict(node.exec_properties), None, None)
    return properties


def test_other_content_of_the_same_size_and_time_is_not_cached(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(CSV)
    os.utime(path, (1_000, 1_000))
    checked = fingerprint([file_digest(str(path))])
    first = resolved(tmp_path, checked)
    assert first["input_fingerprint"] == checked
    os.utime(path, (2_000, 2_000))
    assert resolved(tmp_path) == first  # without a check before the run, the driver reads the files
    path.write_bytes(CSV.replace(b"150", b"151"))
    os.utime(path, (1_000, 1_000))
    second = resolved(tmp_path)
    changed = {name for name, value in second.items() if value != first[name]}
    assert changed == {"input_fingerprint"}  # in the lineage, it is the data that changed, and no setting


def test_the_fingerprint_covers_the_test_table_and_tells_it_from_the_table(tmp_path: Path) -> None:
    names = ("table/a.csv", "test/b.csv", "test/c.csv")
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(CSV + b"%d\n" % number)
    a, b, c = (file_digest(str(tmp_path / name)) for name in names)
    first = resolved(tmp_path / "table", test=tmp_path / "test")
    assert first["input_fingerprint"] == fingerprint([a], [b, c])
    (tmp_path / "test/b.csv").rename(tmp_path / "table/b.csv")  # the same files in the same order
    assert resolved(tmp_path / "table", test=tmp_path / "test")["input_fingerprint"] == fingerprint([a, b], [c])
    assert fingerprint([a], [b, c]) != fingerprint([a, b], [c]) != fingerprint([a, b, c])
    assert resolved(tmp_path / "table", test=tmp_path / "test/c.csv")["input_fingerprint"] == fingerprint([a, b], [c])


def test_a_file_that_is_replaced_after_the_check_fails_the_node(tmp_path: Path) -> None:
    table, output = tmp_path / "table", tmp_path / "out"
    table.mkdir()
    for name in ("a.csv", "b.csv"):
        (table / name).write_bytes(CSV)
    os.utime(table / "a.csv", (1_000, 1_000))
    properties = resolved(table)
    (table / "b.csv").write_bytes(CSV.replace(b"150", b"151"))
    with pytest.raises(
        ValueError, match=r"/table: the files changed after they were checked \(b\.csv was written last\)"
    ):
        run_executor(Executor, properties, output)
    assert list(output.glob("Split-*/*")) == []


@pytest.mark.parametrize("cell", ["text", "9" * 30])
def test_a_csv_file_that_changes_after_its_types_were_inferred_is_refused(tmp_path: Path, cell: str) -> None:
    path = write(tmp_path / "a.csv")
    table = Table.of("csv", path)
    types = table.infer_types(path)
    Path(path).write_text(f"amount\n{cell}\n")
    [batch] = table.read(path)
    assert isinstance(batch, pa.RecordBatch)
    with pytest.raises(TableError, match=r"a\.csv: column 'amount': found other cells than a moment ago .*; run again"):
        table.to_columns(batch, types, path, 0)


def test_a_parquet_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet")
    batches = Table.of("parquet", path).read(path, ContentDigest())
    next(batches)
    os.utime(path, (1_000, 1_000))
    with pytest.raises(TableError, match=r"a\.parquet: the file changed while it was read; run again"):
        list(batches)


def test_a_parquet_file_that_changes_is_refused_even_if_its_time_is_set_back(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet")
    status = os.stat(path)
    batches = Table.of("parquet", path).read(path, ContentDigest())
    next(batches)
    with open(path, "r+b") as file:
        file.write(b"PAR1")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(TableError, match=r"a\.parquet: the file changed while it was read; run again"):
        list(batches)


def test_a_file_in_a_bucket_has_the_digest_that_the_bucket_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [MatchResult("gs://b/a.csv", [FileMetadata("gs://b/a.csv", 7)])]
    monkeypatch.setattr(FileSystems, "match", lambda _paths: found)
    monkeypatch.setattr(FileSystems, "checksum", lambda _path: "crc")
    assert digest_of("gs://b/a.csv") == FileDigest(7, "crc")


@pytest.mark.parametrize("has_test_table", [False, True])
def test_the_driver_on_vertex_ai_writes_the_fingerprint_of_the_content(tmp_path: Path, has_test_table: bool) -> None:
    path = write(tmp_path / "a.csv")
    test = [write(tmp_path / "test.parquet")] if has_test_table else []
    by = SplitBy(test=test[0] if test else None)
    node = ArrowExampleGen(Source(str(tmp_path), "*.csv", "csv"), SPLITS, by=by)
    output = tmp_path / "output.json"
    artifact: dict[str, Any] = {"name": "1", "uri": str(tmp_path / "examples")}
    artifact["type"] = {"instanceSchema": "title: tfx.Examples\ntype: object\n"}
    values = {key: value for key, value in node.exec_properties.items() if value is not None}
    given = {
        "inputs": {"parameterValues": values},
        "outputs": {"artifacts": {"examples": {"artifacts": [artifact]}}, "outputFile": str(output)},
    }
    kinds = {
        key: {"parameterType": "STRING" if isinstance(value, str) else "NUMBER_INTEGER"}
        for key, value in values.items()
    }
    vertex_driver.main(
        argparse.Namespace(
            json_serialized_invocation_args=json.dumps(given),
            json_serialized_inputs_spec_args=json.dumps({"parameters": kinds}),
        )
    )
    written = json.loads(output.read_text())
    expected = fingerprint([file_digest(path)], [file_digest(each) for each in test])
    assert written["parameterValues"]["input_fingerprint"] == expected
    assert written["artifacts"]["examples"]["artifacts"][0]["metadata"]["input_fingerprint"] == expected
