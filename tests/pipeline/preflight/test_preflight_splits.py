"""Refuses a table before the run if it cannot be split as the settings say."""

from pathlib import Path

import pytest
from tiny_problem import SCHEMA, settings_file

from artifacts.fingerprint import file_digest, fingerprint
from pipeline.config.errors import DataError
from pipeline.config.loading import load_config
from pipeline.preflight.preflight import CheckedInputs, preflight

HEADER = "tips,fare,payment,company,seconds\n"
# Settings of the tiny problem's data that split by the column company.
TIME, WORDS, GROUPS = ({f"data.split_{key}": "company"} for key in ("time", "column", "key"))
TEST = {"data.test_path": "FOLDER/test", "data.split_seed": "1"}


def table(*companies: str) -> str:
    rows = (f"{number}.5,5.0,cash,{company},{number}\n" for number, company in enumerate(companies))
    return HEADER + "".join(rows)


def checked(folder: Path, settings: dict[str, str], files: dict[str, str], schema: str = SCHEMA) -> CheckedInputs:
    """Runs all checks before a run on CSV files."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    given = {key: value.replace("FOLDER", str(folder)) for key, value in settings.items()}
    path = settings_file(folder, schema.encode())
    return preflight(load_config(path, given, data=str(folder / "table"), output=str(folder / "out")), path)


@pytest.mark.parametrize(
    ("settings", "files"),
    [
        ({}, {"table/a.csv": table(*"abcdefghijklmnopqrstuvwxyz")}),
        (GROUPS, {"table/a.csv": table(*"abcdefghijklmnopqrstuvwxyz" * 2)}),
        ({**TIME, "data.split_gap": "1d"}, {"table/a.csv": table(*(f"2020-01-{day}" for day in range(10, 30)))}),
        (WORDS, {"table/a.csv": table("train", "test"), "table/b.csv": table("dev")}),
        (TEST, {"table/a.csv": table(*"abcdefghijk"), "test/a.csv": table("a")}),
        (
            {**TEST, "data.test_path": "FOLDER/test/b.csv"},
            {"table/a.csv": table(*"abcdefghijk"), "test/b.csv": table("a")},
        ),
        ({**TEST, **GROUPS}, {"table/a.csv": table(*"abcdefghijk"), "test/a.csv": table("a")}),
    ],
)
def test_tables_that_can_be_split_pass(tmp_path: Path, settings: dict[str, str], files: dict[str, str]) -> None:
    checked(tmp_path, settings, files)


@pytest.mark.parametrize(
    ("settings", "files", "line"),
    [
        (
            {},
            {"table/a.csv": table(*"abc")},
            "table/a.csv: the validation and eval splits have no rows: found 3 rows; expected",
        ),
        (
            GROUPS,
            {"table/a.csv": table(*"ab" * 50)},
            "table/a.csv: column 'company': the validation split has no rows: found 2 groups; expected more",
        ),
        (TIME, {"table/a.csv": table("2020-01-10", "soon")}, "table/a.csv: line 3: column 'company': found 'soon'"),
        (
            TIME,
            {"table/a.csv": table("2020-01-10", "")},
            "table/a.csv: line 3: column 'company': found no value; expected",
        ),
        (
            WORDS,
            {"table/a.csv": table("train", "tset")},
            "table/a.csv: line 3: column 'company': found 'tset'; expected",
        ),
        (
            WORDS,
            {"table/a.csv": table("train", "dev")},
            "expected rows of the eval split, too, since data.split_column",
        ),
        (
            {"data.split_time": "seconds"},
            {"table/a.csv": "tips,fare,payment,company\n1.5,5.0,cash,a\n"},
            "table/a.csv: line 1: unknown data.split_time 'seconds'; allowed: company",
        ),
        (
            TEST,
            {"table/a.csv": table("a")},
            "test: found nothing; expected a file, or a folder of *.csv files (data.test_",
        ),
        (
            TEST,
            {"table/a.csv": table("a"), "test/a.txt": ""},
            "test: found no file that matches *.csv, the last part of",
        ),
        (
            TEST,
            {"table/a.csv": table("a"), "test/b.csv": HEADER},
            "test/b.csv: found a header and no rows; expected at",
        ),
        (
            TEST,
            {"table/a.csv": table("a"), "test/b.csv": "fare,payment,company\n5.0,cash,b\n"},
            "test/b.csv: line 1: found no column 'tips', which a.csv has; expected the same header",
        ),
        (
            {"data.test_path": "FOLDER/table/b.csv"},
            {"table/a.csv": table("a"), "table/b.csv": table("a")},
            "table/b.csv is also a file of the table; expected other files: set data.pattern so that it leaves out",
        ),
    ],
)
def test_tables_that_cannot_be_split_are_refused_in_one_line(
    tmp_path: Path, settings: dict[str, str], files: dict[str, str], line: str
) -> None:
    with pytest.raises(DataError) as error:
        checked(tmp_path, settings, files)
    assert line in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_rows_without_a_time_pass_if_the_schema_allows_them(tmp_path: Path) -> None:
    schema = SCHEMA.replace('"company" type: BYTES presence { min_fraction: 1 }', '"company" type: BYTES')
    checked(tmp_path, TIME, {"table/a.csv": table("1", "", "2", "3")}, schema)


def test_the_fingerprint_covers_the_test_table(tmp_path: Path) -> None:
    files = {"table/a.csv": table(*"abcdefghijk"), "test/a.csv": table("a")}
    given = checked(tmp_path, TEST, files).table
    digests = [file_digest(str(tmp_path / name)) for name in files]
    assert (given.rows, given.test_rows) == (12, 1)
    assert given.fingerprint == fingerprint(digests[:1], digests[1:])
    assert given.fingerprint != fingerprint(digests)  # the same files without a test table
