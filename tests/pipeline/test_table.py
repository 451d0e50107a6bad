from pathlib import Path

import pytest
from tiny_problem import HEADER, ROW, config_for

from pipeline.config_loading import load_config
from pipeline.table import DataError, check_table


@pytest.mark.parametrize(
    "files",
    [
        {"a.csv": HEADER + ROW},
        {"a.csv": HEADER + ROW[:-1]},
        {"a.csv": (HEADER + ROW).replace(b"\n", b"\r\n")},
        {"a.csv": HEADER + b'1.0,5.0,"cash, or card"\n'},
        {"a.csv": HEADER + b'1.0,5.0,"cash\nor card"\n'},
        {"a.csv": HEADER + "1.0,5.0,café\n".encode()},
        {"a.csv": HEADER + b",,\n"},
        {"a.csv": HEADER + b"1.0,5.0," + b"x" * (2 << 20) + b"\n"},
        {"a.csv": HEADER + ROW, "b.csv": HEADER + ROW},
        {"a.csv": HEADER, "b.csv": HEADER + ROW},
        {"a.csv": HEADER + ROW, "notes.txt": b"\xff"},
    ],
)
def test_good_table_passes(tmp_path: Path, files: dict[str, bytes]) -> None:
    check_table(config_for(tmp_path, files))


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
        ({"a.csv": HEADER + b"\n\n" + ROW + b"1.0\n"}, "a.csv: line 5", ["found 1 values", "expected 3"]),
        ({"a.csv": HEADER[:-1]}, "a.csv", ["a header and no rows"]),
        ({"a.csv": b"\n" + HEADER + ROW}, "a.csv: line 1", ["is blank"]),
        ({"a.csv": b'tips,"fare\n' + ROW * 20_000}, "a.csv: line 1", ["field limit"]),
        ({"a.csv": b'tips,"fare\nx"\n1,2\n'}, "a.csv: line 1", ["'fare'", "fare x"]),
        ({"a.csv": HEADER + ROW, "b.csv": HEADER + b"1\n"}, "b.csv: line 2", ["found 1 values", "expected 3"]),
        ({"a.csv": b"tips,fare,caf\xe9\n1,2,3\n"}, "a.csv: line 1", ["byte 0xe9", "UTF-8"]),
        ({"a.csv": HEADER + ROW + b"1.0,5.0,caf\xe9\n"}, "a.csv: line 3", ["byte 0xe9", "UTF-8"]),
        ({"a.csv": (HEADER + ROW).decode().encode("utf-16")}, "a.csv: line 1", ["byte 0xff", "UTF-8"]),
        ({"a.csv": b"\xef\xbb\xbf" + HEADER + ROW}, "a.csv: line 1", ["byte-order mark"]),
        ({"a.csv": b"tips,fare,fare\n1,2,3\n"}, "a.csv: line 1", ["'fare' twice"]),
        ({"a.csv": HEADER + ROW, "b.csv": b"fare,tips,payment\n" + ROW}, "b.csv: line 1", ["differ", "a.csv"]),
        ({"a.csv": HEADER + ROW, "b.csv": b"tips,fare\n1,2\n"}, "b.csv: line 1", ["differ", "a.csv"]),
        ({"a.csv": b"tip,fare\n1,2\n"}, "a.csv: line 1", ["'tips'", "fare, tip;", "did you mean 'tip'?"]),
        ({"a.csv": b"tips,fair\n1,2\n"}, "a.csv: line 1", ["'fare'", "did you mean 'fair'?"]),
    ],
)
def test_bad_table_is_refused_in_one_line_with_its_place(
    tmp_path: Path, files: dict[str, bytes] | None, where: str, fragments: list[str]
) -> None:
    with pytest.raises(DataError) as error:
        check_table(config_for(tmp_path, files))
    line = str(error.value)
    assert line.startswith(f"{tmp_path / 'table' / where}: ")
    assert [fragment for fragment in fragments if fragment not in line] == []
    assert "\n" not in line


@pytest.mark.parametrize(
    ("last", "problem"), [(b"1.0,5.0\n", "found 2 values"), (b"1.0,5.0,\xe9\n", "byte 0xe9 is not UTF-8")]
)
def test_row_is_numbered_far_into_a_file(tmp_path: Path, last: bytes, problem: str) -> None:
    config = config_for(tmp_path, {"a.csv": HEADER + ROW * 200_000 + last})
    with pytest.raises(DataError, match=f"line 200002: {problem}"):
        check_table(config)


def test_file_where_the_folder_should_be(tmp_path: Path) -> None:
    config = config_for(tmp_path, None)
    Path(config.data.path).write_bytes(HEADER + ROW)
    with pytest.raises(DataError, match=r"table: found a file; expected a folder of .*--data"):
        check_table(config)


def test_only_files_of_the_pattern_are_read(tmp_path: Path) -> None:
    config_for(tmp_path, {"a.csv": b"", "a.txt": HEADER + ROW})
    check_table(
        load_config(
            tmp_path / "tiny.yaml", {"data.pattern": "'*.txt'", "data.format": "csv"}, data=str(tmp_path / "table")
        )
    )
