"""What ``python local_runner.py init`` reads, writes and prints."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from drafts import drafted, table
from test_refused_tables import GOOD, number, rows, word, yes

import local_runner
from pipeline.config.loading import load_config
from pipeline.drafting.command import init
from pipeline.drafting.table.counts import ColumnCounts
from pipeline.drafting.table.location import Given, find_files
from pipeline.drafting.table.reading import read_table


def test_init_is_a_word_and_without_one_the_pipeline_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert local_runner.command(["--config", "init"]) is local_runner.main
    with pytest.raises(SystemExit):
        local_runner.command(["init", "--help"])()
    assert "Draft the settings and the schema of a table" in capsys.readouterr().out


def test_files_are_only_replaced_by_force(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", GOOD)
    assert drafted(path, "label", tmp_path / "out").code == 0
    settings, schema = tmp_path / "out/configs/a.yaml", tmp_path / "out/schema/a/schema.pbtxt"
    settings.write_text("mine")
    again = drafted(path, "label", tmp_path / "out")
    assert (again.code, settings.read_text()) == (2, "mine")
    assert "configs/a.yaml: the file exists; give another --name, or --force to replace it" in again.stderr
    settings.unlink()
    schema.write_text("mine")
    assert drafted(path, "label", tmp_path / "out").code == 2
    assert (settings.exists(), schema.read_text()) == (False, "mine")
    assert drafted(path, "label", tmp_path / "out", "--name", "b").code == 0
    assert drafted(path, "label", tmp_path / "out", "--force").code == 0
    assert "mine" not in settings.read_text() + schema.read_text()


def test_a_table_for_people_shows_choices_warnings_and_the_next_command(tmp_path: Path) -> None:
    path = table(tmp_path / "my table.csv", GOOD)
    result = CliRunner().invoke(init, ["--data", str(path), "--label", "label", "--into", str(tmp_path / "out")])
    assert result.exit_code == 0
    assert "my_table: binary of 'label' from 120 rows, 2 different texts" in result.stdout
    assert "warning too few rows" in result.stdout
    assert "column\ttype\tmissing\tuse\twhy\n" in result.stdout  # a table in a terminal
    assert "\na\tFLOAT\t\tdense\t" in result.stdout
    [last] = result.stdout.splitlines()[-1:]
    assert last == f"Next: python local_runner.py --config {tmp_path}/out/configs/my_table.yaml"
    config = load_config(tmp_path / "out/configs/my_table.yaml")
    assert (config.name, config.data.path, config.data.pattern) == ("my_table", str(tmp_path), "my table.csv")


def test_columns_keep_any_name_and_get_one_of_their_own(tmp_path: Path) -> None:
    names = ["", "Größe (cm)", "Mass", "mass", "a.b: {c}", 'x, "y"', "class", "1st", "Mass", "# 東京", "yes?"]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    lines = [",".join([str(row), *[f"{row * 7 % 31}.5"] * 9, "ja" if row % 3 else "nein"]) for row in range(200)]
    found = drafted(table(tmp_path / "a.csv", "\n".join([header, *lines, ""])), "yes?", tmp_path / "out")
    assert (found.code, found.stderr) == (0, "")
    own = ["column_1", *names[1:8], "Mass_2", *names[9:]]
    assert list(found.schema) == own
    assert set(found.choices["warnings"]) >= {
        "column 1 has no name: it is 'column_1'",
        "column 9 is another 'Mass': it is 'Mass_2'",
    }
    config = load_config(tmp_path / "out/configs/a.yaml")
    assert set(config.features.columns) <= set(own)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_delimiter_and_encoding_are_found(tmp_path: Path, delimiter: str, encoding: str) -> None:
    text = rows(number, lambda row: f'"x, y; {word(row)}|z"', yes).replace("Z", "Ü")
    lines = [
        delimiter.join(line.split(",", 1)[:1] + line.split(",", 1)[1].rsplit(",", 1)) for line in text.splitlines()
    ]
    path = tmp_path / "a.txt"
    path.write_text("\n".join(lines).replace("red", "röd"), encoding=encoding)
    found = drafted(path, "label", tmp_path / "out")
    assert (found.code, found.stderr) == (0, "")
    data = load_config(tmp_path / "out/configs/a.yaml").data
    assert (data.delimiter, data.encoding) == (delimiter, encoding.removesuffix("-sig"))
    assert found.uses == {"a": "dense", "b": "vocabulary", "label": "label"}


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (GOOD.replace("red", "röd").encode("cp1252"), [], "is not UTF-8; give its encoding, such as --encoding cp1252"),
        (GOOD.encode("utf-16-le"), [], "found zero bytes; expected text: if it is UTF-16, give --encoding utf-16-le"),
        (b"PK\x03\x04 and so on", [], "found a spreadsheet or a zip file; expected text: save the table as CSV"),
        (b"a,b;label\n1,2;3\n", [], "',' or ';' can separate the columns; give one of them with --delimiter"),
        (GOOD.encode(), ["--delimiter", "ab"], "--delimiter: found 'ab'; expected one ASCII character"),
        (GOOD.encode(), ["--encoding", "utf-9"], "--encoding: found 'utf-9'; expected an encoding of text"),
        (GOOD.encode(), ["--name", "My Table"], "name: found 'My Table'"),
        (
            GOOD.replace(",", "\t").replace("red", '"red', 1).encode(),
            [],
            "line 2: found 2 values up to line 121; expected 3, as in the header: is a quote unclosed?",
        ),
    ],
)
def test_what_cannot_be_found_for_sure_is_asked_for(
    tmp_path: Path, content: bytes, options: list[str], said: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    found = drafted(path, "label", tmp_path / "out", *options)
    assert (found.code, found.files) == (2, [])
    assert said in found.stderr
    assert len(found.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("nothing", "found nothing there; expected a file or a folder of files"),
        ("mixed", "found a.csv, b.parquet in"),
        ("empty", "found no files in"),
        ("a.xlsx", "expected a file that ends in .csv, .parquet, .tfrecord or .txt: save the table as CSV or Parquet"),
        ("a[1].csv", "found [] in a[1].csv; expected a name without them: rename the file"),
    ],
)
def test_files_that_are_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mixed/a.csv", "mixed/b.parquet", "a.xlsx", "a[1].csv"):
        table(tmp_path / name, GOOD)
    (tmp_path / "empty").mkdir()
    found = drafted(Path(data), "label", tmp_path / "out")
    assert said in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_all_rows_are_counted_and_a_seeded_sample_is_judged(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", rows(number, word, yes, count=40_000))
    files = find_files(Given(str(path)))
    first, second = read_table(files, 500), read_table(files, 500)
    assert first.sample.equals(second.sample)
    assert (first.rows, first.sample.num_rows, first.is_sampled) == (40_000, 500, True)
    positions = [round(float(each) * 10) for each in first.sample.column("a").to_pylist()]
    assert len(set(positions)) > 300  # of the complete table, not its beginning
    counts = first.counts["b"]
    assert isinstance(counts, ColumnCounts)
    assert counts.values is not None
    assert sum(counts.values.values()) == 40_000
    found = drafted(path, "label", tmp_path / "out", "--max-rows", "500")
    assert "from a seeded sample of 500 rows" in found.choices["warnings"][0]


def test_a_wide_table_is_drafted(tmp_path: Path) -> None:
    width = 300
    header = ",".join([*(f"c{index}" for index in range(width)), "label"])
    lines = [",".join([*(str(row * index % 97) for index in range(width)), str(yes(row))]) for row in range(60)]
    found = drafted(table(tmp_path / "a.csv", "\n".join([header, *lines])), "label", tmp_path / "out")
    assert (found.code, found.stderr) == (0, "")
    assert len(found.uses) == width + 1
