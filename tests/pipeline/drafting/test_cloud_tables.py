"""Tables in a bucket or in BigQuery are copied to this machine, and drafted there."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from cloud_tables import cloud_tables
from drafts import Drafted
from test_refused_tables import GOOD, ROWS, number, word, yes

from pipeline.config.loading import load_config
from pipeline.drafting.command import init
from pipeline.drafting.errors import DraftError
from pipeline.drafting.table.copies import local_copies
from pipeline.drafting.table.location import Given

TRIPS = {
    "schema": {"size": "FLOAT64", "color": "STRING", "label": "STRING"},
    "rows": [(number(row), None if row == 7 else word(row), yes(row)) for row in range(ROWS)],
}
OBJECTS = {
    "houses/a.csv": GOOD.encode(),
    "houses/b.csv": GOOD.encode(),
    "houses/_SUCCESS": b"",
    "houses/readme.md": b"# Houses",
    "houses/older/c.csv": b"other columns",
    "days/2024-01-01.csv": GOOD.encode(),
    "bad/a.csv": b"a,b\n1,2\n",
}


def drafted_from(url: str, folder: Path, *options: str) -> Drafted:
    """Drafts a table that is not on this machine."""
    arguments = ["--data", url, "--label", "label", "--into", str(folder), "--json", *options]
    with cloud_tables(OBJECTS, {"project.trips.trips": TRIPS}):
        result = CliRunner().invoke(init, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Drafted(result.exit_code, result.stdout, result.stderr, folder)


@pytest.mark.parametrize(
    ("url", "options", "name", "files", "rows"),
    [
        ("gs://bucket/houses", [], "houses", ["a.csv", "b.csv"], 2 * ROWS),
        ("gs://bucket/houses/", ["--name", "mine"], "mine", ["a.csv", "b.csv"], 2 * ROWS),
        ("gs://bucket/houses/a.csv", [], "a", ["a.csv"], ROWS),
        ("gs://bucket/days", ["--pattern", "{YYYY}-{MM}-{DD}.csv"], "days", ["2024-01-01.csv"], ROWS),
        ("bq://project.trips.trips", [], "trips", ["trips.parquet"], ROWS),
    ],
)
def test_a_table_elsewhere_is_copied_and_drafted(
    tmp_path: Path, url: str, options: list[str], name: str, files: list[str], rows: int
) -> None:
    found = drafted_from(url, tmp_path / "out", *options)
    assert (found.code, found.stderr) == (0, "")
    assert (found.choices["name"], found.choices["rows"]) == (name, rows)
    copies = tmp_path / "out/data" / name
    assert sorted(each.name for each in copies.iterdir()) == files
    assert load_config(tmp_path / f"out/configs/{name}.yaml").data.path == str(copies)
    assert f"a copy of {url}" in (tmp_path / f"out/configs/{name}.yaml").read_text()
    assert any(f"a copy of {url}" in line for line in found.choices["warnings"])


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("gs://bucket/nothing", "gs://bucket/nothing: found no files of a table; expected a file or a folder"),
        ("gs://bucket/bad", "--label: unknown column 'label'; allowed: a, b"),
        ("bq://project.trips.other", "bq://project.trips.other: "),
        ("bq://trips", "found bq://trips; expected gs://BUCKET/FOLDER, bq://PROJECT.DATASET.TABLE, or files on this"),
        ("s3://bucket/a.csv", "expected gs://BUCKET/FOLDER, bq://PROJECT.DATASET.TABLE, or files on this machine"),
    ],
)
def test_a_table_that_cannot_be_copied_or_drafted_leaves_nothing(tmp_path: Path, url: str, said: str) -> None:
    found = drafted_from(url, tmp_path / "out")
    assert (found.code, found.stdout, found.files) == (2, "", [])
    assert said in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_an_empty_test_table_is_named_by_its_option(tmp_path: Path) -> None:
    empty = {**TRIPS, "rows": []}
    with cloud_tables({}, {"project.trips.trips": TRIPS, "project.trips.later": empty}):
        given = Given("bq://project.trips.trips", test="bq://project.trips.later")
        with (
            pytest.raises(DraftError, match=r"--test: bq://project\.trips\.later: found no rows"),
            local_copies(given, tmp_path / "data/trips", False),
        ):
            pass


def test_a_copy_is_only_replaced_by_force_and_is_back_if_the_draft_fails(tmp_path: Path) -> None:
    first = drafted_from("gs://bucket/houses/a.csv", tmp_path / "out", "--name", "houses")
    assert first.code == 0
    (tmp_path / "out/configs/houses.yaml").unlink()
    (tmp_path / "out/schema/houses/schema.pbtxt").unlink()
    again = drafted_from("gs://bucket/houses", tmp_path / "out")
    assert "data/houses: the folder exists; give another --name, or --force to replace it" in again.stderr
    failed = drafted_from("gs://bucket/bad", tmp_path / "out", "--name", "houses", "--force")
    assert failed.code == 2
    assert [each.name for each in (tmp_path / "out/data/houses").iterdir()] == ["a.csv"]
    forced = drafted_from("gs://bucket/houses", tmp_path / "out", "--force")
    assert forced.choices["rows"] == 2 * ROWS
    assert [each.name for each in (tmp_path / "out/data").iterdir()] == ["houses"]


def test_names_do_not_leave_the_folder(tmp_path: Path) -> None:
    objects = {"t/../../../evil.csv": GOOD.encode(), "t/a.csv": GOOD.encode()}
    with cloud_tables(objects, {}), local_copies(Given("gs://bucket/t", "*.csv"), tmp_path / "data/t", False):
        assert [each.name for each in tmp_path.rglob("*.csv")] == ["a.csv"]
