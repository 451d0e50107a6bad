import errno
import gzip
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_problem import HEADER, ROW, config_for, settings_file

from artifacts.fingerprint import file_digest, fingerprint
from custom_components.arrow_example_gen.formats import tfrecord_files
from custom_components.arrow_example_gen.table import Table
from pipeline.config.errors import DataError
from pipeline.config.loading import load_config
from pipeline.config.settings import Config
from pipeline.preflight.schema import load_schema
from pipeline.preflight.table import CheckedTable, check_table


def check(config: Config) -> CheckedTable:
    return check_table(config, load_schema(config, Path("tiny.yaml")))


@pytest.mark.parametrize(
    "files",
    [
        {"a.csv": HEADER + ROW},
        {"a.csv": HEADER + ROW[:-1]},
        {"a.csv": (HEADER + ROW).replace(b"\n", b"\r\n")},
        {"a.csv": HEADER + b'1.0,5.0,"cash, or card"\n'},
        {"a.csv": HEADER + b'1.0,5.0,"cash\nor card"\n'},
        {"a.csv": HEADER + "1.0,5.0,café\n".encode()},
        {"a.csv": b"\xef\xbb\xbf" + HEADER + ROW, "b.csv": HEADER + ROW},
        {"a.csv": b'\xef\xbb\xbf"tips","fare","payment"\n' + ROW},
        {"a.csv": HEADER + b",,\n"},
        {"a.csv": HEADER + b"1.0,5.0," + b"x" * (2 << 20) + b"\n"},
        {"a.csv": HEADER + ROW, "b.csv": HEADER + ROW},
        {"a.csv": HEADER, "b.csv": HEADER + ROW},
        {"a.csv": HEADER + ROW, "notes.txt": b"\xff"},
    ],
)
def test_good_table_passes(tmp_path: Path, files: dict[str, bytes]) -> None:
    check(config_for(tmp_path, files))


def test_what_means_a_missing_value_can_be_set(tmp_path: Path) -> None:
    content = {"a.csv": HEADER + ROW + b"1,NA,cash\n2,?,NULL\n"}
    assert check(other_files(tmp_path, "*.csv", content, missing_values="[NA, '?']")).rows == 3


@pytest.mark.parametrize(
    ("content", "settings", "said"),
    [
        ("tips;fare;payment\n1,5;2;Zürich\n", {"delimiter": ";", "encoding": "cp1252"}, "line 2: .* found '1,5'"),
        ("tips;fare;payment\n1;2;Zürich\n1;2\n", {"delimiter": ";", "encoding": "latin-1"}, "line 3: found 2 values"),
        ("tips;fare;payment\n1;2;ok\n1;2;Ő\n", {"delimiter": ";", "encoding": "ascii"}, "line 3: byte 0x.. is not asc"),
        ("tips\tfare\n1\t2\n", {"delimiter": ";"}, r"line 1: .* tabs; expected semicolons: .* to '\\t', or save"),
        ("tips,fare\n1,2\n", {"delimiter": "'|'"}, "line 1: .* separated by commas; expected vertical bars: .*','"),
    ],
)
def test_errors_of_other_dialects_have_their_line(
    tmp_path: Path, content: str, settings: dict[str, str], said: str
) -> None:
    encoding = settings.get("encoding", "utf-8").replace("ascii", "utf-8")
    with pytest.raises(DataError, match=rf"a\.csv: {said}"):
        check(other_files(tmp_path, "*.csv", {"a.csv": content.encode(encoding)}, **settings))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "latin-1"])
@pytest.mark.parametrize("delimiter", [";", r"\t"])
def test_a_dialect_can_be_set(tmp_path: Path, encoding: str, delimiter: str) -> None:
    text = 'tips;fare;payment\n1;2;"Zürich; \nor ""Bern"""\n'.replace(";", delimiter.replace(r"\t", "\t"))
    settings = {"delimiter": json.dumps(delimiter), "encoding": encoding}
    assert check(other_files(tmp_path, "*.csv", {"a.csv": text.encode(encoding)}, **settings)).rows == 1


def test_the_fingerprint_is_that_of_the_files(tmp_path: Path) -> None:
    config = config_for(tmp_path, {"b.csv": HEADER + ROW, "a.csv": HEADER})
    files = [str(tmp_path / "table" / name) for name in ("a.csv", "b.csv")]
    assert check(config).fingerprint == fingerprint(map(file_digest, files))


def test_rows_of_all_files_are_counted(tmp_path: Path) -> None:
    files = {"a.csv": HEADER + ROW * 20_000 + b"\n", "b.csv": HEADER, "c.csv": HEADER + ROW}
    assert check(config_for(tmp_path, files)).rows == 20_001


@pytest.mark.parametrize(
    ("files", "where", "fragments"),
    [
        (None, "", ["found nothing", "*.csv", "--data"]),
        ({}, "", ["no file that matches *.csv"]),
        ({"a.txt": HEADER + ROW}, "", ["no file that matches *.csv"]),
        ({"a.csv": b""}, "a.csv", ["the file is empty", "header"]),
        ({"a.csv": HEADER + ROW, "b.csv": b""}, "b.csv", ["the file is empty"]),
        ({"a.csv": HEADER}, "a.csv", ["a header and no rows"]),
        ({"a.csv": HEADER, "b.csv": HEADER}, "a.csv", ["a header and no rows"]),
        ({"a.csv": HEADER + ROW + b"1.0,5.0\n"}, "a.csv: line 3", ["found 2 values", "expected 3"]),
        ({"a.csv": HEADER + ROW + b"1.0,5.0,cash,4\n"}, "a.csv: line 3", ["found 4 values", "expected 3"]),
        ({"a.csv": HEADER + b"\n\n" + ROW + b"1.0\n"}, "a.csv: line 5", ["found 1 value", "expected 3"]),
        ({"a.csv": HEADER[:-1]}, "a.csv", ["a header and no rows"]),
        ({"a.csv": b"\n" + HEADER + ROW}, "a.csv: line 1", ["is blank"]),
        ({"a.csv": b'tips,"fare\n' + ROW * 20_000}, "a.csv: line 1", ["field limit"]),
        ({"a.csv": b'tips,"fare\nx"\n1,2\n'}, "a.csv: line 1", ["'fare'", "fare x"]),
        ({"a.csv": HEADER + ROW, "b.csv": HEADER + b"1\n"}, "b.csv: line 2", ["found 1 value", "expected 3"]),
        ({"a.csv": b"tips,fare,caf\xe9\n1,2,3\n"}, "a.csv: line 1", ["byte 0xe9", "UTF-8"]),
        ({"a.csv": HEADER + ROW + b"1.0,5.0,caf\xe9\n"}, "a.csv: line 3", ["byte 0xe9", "UTF-8"]),
        ({"a.csv": (HEADER + ROW).decode().encode("utf-16")}, "a.csv: line 1", ["byte 0xff", "UTF-8"]),
        ({"a.csv": (HEADER + ROW).decode().encode("utf-16-le")}, "a.csv: line 1", ["zero bytes", "data.encoding"]),
        ({"a.csv": HEADER + ROW, "b.csv": b"fare,tips,payment\n" + ROW}, "b.csv: line 1", ["another order", "a.csv"]),
        ({"a.csv": HEADER + ROW, "b.csv": b"tips,fare\n1,2\n"}, "b.csv: line 1", ["no column 'payment'", "a.csv"]),
        ({"a.csv": b"tip,fare\n1,2\n"}, "a.csv: line 1", ["'tips'", "fare, tip;", "did you mean 'tip'?"]),
        ({"a.csv": b"tips,fair\n1,2\n"}, "a.csv: line 1", ["'fare'", "did you mean 'fair'?"]),
        (
            {"a.csv": b"tips;fare;payment\n1;2;cash\n"},
            "a.csv: line 1",
            ["separated by semicolons", "data.delimiter to ';'", "with commas"],
        ),
        ({"a.csv": b"tips\tfare\n1\t2\n"}, "a.csv: line 1", ["separated by tabs"]),
        ({"a.csv": b"tips|fare|a,b|c\n1|2|x,y|z\n"}, "a.csv: line 1", ["separated by vertical bars"]),
        ({"a.csv": HEADER + ROW + b"1,NA,cash\n"}, "a.csv: line 3", ["'fare'", "found 'NA'", "data.missing_values"]),
    ],
)
def test_invalid_table_is_refused_in_one_line_with_its_position(
    tmp_path: Path, files: dict[str, bytes] | None, where: str, fragments: list[str]
) -> None:
    with pytest.raises(DataError) as error:
        check(config_for(tmp_path, files))
    line = str(error.value)
    assert line.startswith(f"{tmp_path / 'table' / where}: ")
    assert [fragment for fragment in fragments if fragment not in line] == []
    assert "\n" not in line


@pytest.mark.parametrize(
    ("last", "problem"), [(b"1.0,5.0\n", "found 2 values"), (b"1.0,5.0,\xe9\n", "byte 0xe9 is not UTF-8")]
)
def test_error_far_into_a_file_has_its_line_number(tmp_path: Path, last: bytes, problem: str) -> None:
    config = config_for(tmp_path, {"a.csv": HEADER + ROW * 200_000 + last})
    with pytest.raises(DataError, match=f"line 200002: {problem}"):
        check(config)


def test_columns_without_a_name_of_their_own_get_one(tmp_path: Path) -> None:
    files = {"a.csv": b',tips,"fare\n",fare,fare_2,fare, \n0,1,2,3,4,5,6\n'}
    config = config_for(tmp_path, files)
    assert check(config).notes == (
        "column 1 has no name: it is 'column_1'",
        "column 6 is another 'fare': it is 'fare_3'",
        "column 7 has no name: it is 'column_7'",
    )
    [batch] = Table.of("csv", str(tmp_path / "table/a.csv")).read(str(tmp_path / "table/a.csv"))
    names = ["column_1", "tips", "fare\n", "fare", "fare_2", "fare_3", "column_7"]
    assert isinstance(batch, pa.RecordBatch)
    assert batch.to_pydict() == {name: [str(place)] for place, name in enumerate(names)}


def test_only_some_of_many_renamed_columns_are_listed(tmp_path: Path) -> None:
    many = ",".join(["fare"] * 30)
    config = config_for(tmp_path, {"a.csv": f"tips,payment,{many}\n1,cash,{','.join('2' * 30)}\n".encode()})
    renamed = check(config).notes
    assert len(renamed) == 11
    assert renamed[-1] == "and 19 more columns have no name of their own"


def test_file_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    config = config_for(tmp_path, None)
    Path(config.data.path).write_bytes(HEADER + ROW)
    with pytest.raises(DataError, match=r"table: found a file; expected a folder of .*--data"):
        check(config)


def test_only_files_of_the_pattern_are_read(tmp_path: Path) -> None:
    config_for(tmp_path, {"a.csv": b"", "a.txt": HEADER + ROW})
    check(
        load_config(
            tmp_path / "tiny.yaml", {"data.pattern": "'*.txt'", "data.format": "csv"}, data=str(tmp_path / "table")
        )
    )


PARQUET: dict[str, list[Any]] = {"tips": [1.0], "fare": [5.0], "payment": ["cash"]}


def parquet(**columns: list[Any]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def other_files(folder: Path, pattern: str, files: Mapping[str, bytes], **settings: str) -> Config:
    """Settings of a table of other files, possibly in subfolders."""
    for name, content in files.items():
        path = folder / "table" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    given = {"data.pattern": f"'{pattern}'", **{f"data.{name}": value for name, value in settings.items()}}
    return load_config(settings_file(folder), given, data=str(folder / "table"))


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("*.csv.gz", {"a.csv.gz": gzip.compress(HEADER + ROW)}),
        ("*.parquet", {"a.parquet": parquet(**PARQUET), "b.parquet": parquet(**PARQUET)}),
        ("{SPAN}/v{VERSION}/*.csv", {"1/v1/a.csv": b"", "2/v1/a.csv": b"", "2/v2/a.csv": HEADER + ROW}),
        ("{YYYY}-{MM}-{DD}/*.csv", {"2026-01-31/a.csv": b"", "2026-02-01/a.csv": HEADER + ROW}),
    ],
)
def test_other_formats_and_spans_pass(tmp_path: Path, pattern: str, files: dict[str, bytes]) -> None:
    check(other_files(tmp_path, pattern, files))


@pytest.mark.parametrize(
    ("pattern", "files", "line"),
    [
        (
            "*.csv.gz",
            {"a.csv.gz": gzip.compress(HEADER + ROW)[:-9]},
            "a.csv.gz: after line 2: the gzip stream is trunc",
        ),
        (
            "*.parquet",
            {"a.parquet": parquet(tips=[{"a": 1}], fare=[2.0])},
            "a.parquet: column 'tips' is struct<a: int64>",
        ),
        ("*.parquet", {"a.parquet": HEADER + ROW}, "a.parquet: Parquet magic bytes not found"),
        ("*.parquet", {"a.parquet": parquet(tip=[1.0], fare=[2.0])}, "a.parquet: unknown label column 'tips'"),
        ("*.parquet", {"a.parquet": parquet(tips=[], fare=[])}, "a.parquet: found no rows; expected at least one row"),
        ("*.tfrecord", {"a.tfrecord": b"x" * 9}, "a.tfrecord: record 1: the file ends within the record"),
        ("*.tfrecord", {"a.tfrecord": b""}, "a.tfrecord: found no rows"),
        ("{SPAN}/*.csv", {"a.csv": HEADER + ROW}, "found no file that matches {SPAN}/*.csv"),
        ("{SPAN}/*.csv", {"1/a.csv": HEADER + ROW, "2/a.csv": HEADER}, "2/a.csv: found a header and no rows"),
    ],
)
def test_invalid_files_of_other_formats_are_refused(
    tmp_path: Path, pattern: str, files: dict[str, bytes], line: str
) -> None:
    with pytest.raises(DataError) as error:
        check(other_files(tmp_path, pattern, files))
    assert line in str(error.value)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (parquet(**{**PARQUET, "fare": [[5.0, 6.0]]}), "row 1: column 'fare' has 2 values"),
        (parquet(tips=[[], [1.0], [1.0] * 3], fare=[5.0] * 3), "row 3: column 'tips' has 3 values"),
    ],
)
def test_row_with_several_values_of_a_feature_or_the_label_is_refused(
    tmp_path: Path, content: bytes, place: str
) -> None:
    with pytest.raises(DataError) as error:
        check(other_files(tmp_path, "*.parquet", {"a.parquet": content}))
    assert f"a.parquet: {place}; expected one value per row" in str(error.value)


def test_lists_of_one_value_and_lists_that_are_not_used_pass(tmp_path: Path) -> None:
    content = parquet(**{**PARQUET, "fare": [[5.0]], "tags": [["a", "b"]]})
    check(other_files(tmp_path, "*.parquet", {"a.parquet": content}))


def test_span_can_be_set(tmp_path: Path) -> None:
    files = {"1/a.csv": HEADER + ROW, "2/a.csv": HEADER}
    check(other_files(tmp_path, "{SPAN}/*.csv", files, span="1"))


def test_hidden_files_are_read_as_by_tfx(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\._a\.csv: line 1: byte 0xff is not UTF-8"):
        check(config_for(tmp_path, {"a.csv": HEADER + ROW, "._a.csv": b"\xff"}))


def test_file_name_that_tfx_cannot_read_is_refused(tmp_path: Path) -> None:
    config = config_for(tmp_path, {"a.csv": HEADER + ROW})
    Path(os.fsdecode(os.fsencode(config.data.path) + b"/\xff.csv")).write_bytes(HEADER + ROW)
    with pytest.raises(DataError, match=r"\\udcff\.csv': found a name that is not UTF-8.*; rename the file"):
        check(config)


def test_named_pipe_is_refused(tmp_path: Path) -> None:
    config = config_for(tmp_path, {"a.csv": HEADER + ROW})
    os.mkfifo(Path(config.data.path) / "b.csv")
    with pytest.raises(DataError, match=r"b\.csv: found a special file; expected a regular, readable file"):
        check(config)


def test_read_error_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stale(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    config = other_files(tmp_path, "*.tfrecord", {"a.tfrecord": b""})
    monkeypatch.setattr(tfrecord_files, "open_file", lambda *_: Stale(b"x"))
    with pytest.raises(DataError, match=r"a\.tfrecord: Stale file handle; expected a readable file"):
        check(config)


def test_table_without_the_split_key_is_refused(tmp_path: Path) -> None:
    config = other_files(tmp_path, "*.csv", {"a.csv": HEADER + ROW}, split_key="company")
    with pytest.raises(DataError, match=r"a\.csv: line 1: unknown data\.split_key 'company'; allowed: "):
        check(config)
