"""Splits that the command line names."""

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from drafts import drafted, table
from test_refused_tables import number, rows, word, yes

from custom_components.arrow_example_gen.encoding import encode, to_bytes
from custom_components.arrow_example_gen.splits.hash_split import split_columns
from custom_components.arrow_example_gen.table import Table
from custom_components.shared.split_hash import Split
from pipeline.config.loading import load_config
from pipeline.config.settings import SPLITS
from pipeline.preflight.schema import column_types, load_schema

TIMED = "when,size,label"


def day(row: int) -> str:
    return f"2024-{row * 7 % 12 + 1:02}-{row % 28 + 1:02}"


@pytest.mark.parametrize(
    ("options", "split"),
    [
        (["--time", "when"], {"split_time": "when"}),
        (["--group", "when"], {"split_key": "when"}),
    ],
)
def test_a_column_that_decides_the_split_is_no_feature(
    tmp_path: Path, options: list[str], split: dict[str, str]
) -> None:
    path = table(tmp_path / "a.csv", rows(day, number, yes, header=TIMED))
    found = drafted(path, "label", tmp_path / "out", *options)
    assert (found.code, found.stderr) == (0, "")
    assert found.uses == {"when": "split", "size": "dense", "label": "label"}
    data = load_config(tmp_path / "out/configs/a.yaml").data
    assert {key: getattr(data, key) for key in split} == split


@pytest.mark.parametrize("weight", [lambda row: row % 5 + 1, lambda row: row % 5 / 2])
def test_a_column_of_weights_is_no_feature(tmp_path: Path, weight: Callable[[int], float]) -> None:
    path = table(tmp_path / "a.csv", rows(number, weight, yes, header="size,weight,label"))
    found = drafted(path, "label", tmp_path / "out", "--weight", "weight")
    assert (found.code, found.stderr) == (0, "")
    assert found.uses["weight"] == "weight"
    assert load_config(tmp_path / "out/configs/a.yaml").data.weight_column == "weight"


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        (word, "--weight: 'weight' has text; expected a number of at least 0 in each row"),
        (lambda row: row or "", "--weight: 'weight' has no value in 1 of 120 rows"),
        (lambda row: 1 - row % 3, "--weight: 'weight' has the weight -1"),
        (lambda row: "inf" if row == 9 else 1.5, "--weight: 'weight' has infinite numbers"),
    ],
)
def test_what_is_no_weight_is_refused(tmp_path: Path, weight: Callable[[int], object], said: str) -> None:
    path = table(tmp_path / "a.csv", rows(number, weight, yes, header="size,weight,label"))
    found = drafted(path, "label", tmp_path / "out", "--weight", "weight")
    assert (found.code, found.files) == (2, [])
    assert said in found.stderr


def test_values_may_be_missing_in_one_part_of_the_time(tmp_path: Path) -> None:
    text = rows(day, lambda row: number(row) if row > 60 else "", yes, header=TIMED)
    path = table(tmp_path / "a.csv", text)
    by_time = drafted(path, "label", tmp_path / "out", "--time", "when").schema["size"]
    assert not by_time.presence.min_fraction


def test_a_test_table_becomes_the_eval_split(tmp_path: Path) -> None:
    path = table(tmp_path / "train/a.csv", rows(number, word, yes))
    test = table(tmp_path / "test/a.csv", rows(lambda row: number(row) + 1000, word, yes))
    found = drafted(path, "label", tmp_path / "out", "--test", str(test))
    assert (found.code, found.stderr) == (0, "")
    data = load_config(tmp_path / "out/configs/a.yaml").data
    assert data.test_path == str(test)
    assert found.choices["rows"] == 240
    assert found.schema["a"].float_domain.max > 1000  # the schema allows the values of both tables


def test_the_files_of_a_test_table_are_those_that_a_run_reads(tmp_path: Path) -> None:
    path = table(tmp_path / "train/day-2.csv", rows(number, word, yes))
    test = table(tmp_path / "test/day-7.csv", rows(number, word, yes))
    options = ("--name", "a", "--pattern", "day-{SPAN}.csv", "--test", str(test.parent))
    found = drafted(path.parent, "label", tmp_path / "out", *options)
    assert (found.code, found.stderr) == (0, "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--test", "test.csv"], "test.csv: line 1: found no column 'few', which a.csv has; expected the same header"),
        (["--test", "nothing"], "--test: nothing: found nothing there; expected a file or a folder of files"),
        (["--group", "few"], "column 'few': the validation split has no rows: found 2 groups; expected more"),
        (["--group", "size"], "--group: unknown column 'size'; allowed: a, few, label"),
        (["--time", "a", "--group", "few"], "--group: found --time, too; expected one option that decides the split"),
        (["--time", "label"], "--label: 'label' is named by another option, too; expected only one use of it"),
    ],
)
def test_a_split_that_cannot_be_made_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "test.csv", rows(number, word, yes, header="a,other,label"))
    path = table(tmp_path / "a.csv", rows(number, lambda row: "one" if row % 2 else "two", yes, header="a,few,label"))
    found = drafted(path, "label", tmp_path / "out", *options)
    assert (found.code, found.stdout, found.files) == (2, "", [])
    assert said in found.stderr
    assert len(found.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("label", "options"),
    [
        (lambda row: "yes" if row % 15 == 0 else "no", []),  # eight rows, of which each split needs one
        (lambda row: "yes" if row % 40 == 0 else "no", []),  # three rows
        (number, ["--group", "group"]),  # four groups for three splits
        (lambda row: "yes" if row % 15 < 2 else "no", ["--group", "group"]),
    ],
)
def test_a_seed_is_chosen_with_which_no_split_lacks_a_class(
    tmp_path: Path, label: Callable[[int], object], options: list[str]
) -> None:
    for offset, name in enumerate("abcd"):  # a fixed seed would fail for one of them
        text = rows(shifted(offset), shifted_group(offset), label, header="size,group,label")
        path = table(tmp_path / f"{name}.csv", text)
        found = drafted(path, "label", tmp_path / name, *options)
        assert (found.code, found.stderr) == (0, "")
        settings = tmp_path / name / f"configs/{name}.yaml"
        assert min(split_counts(settings).values()) > 0


def shifted(offset: int) -> Callable[[int], float]:
    return lambda row: 2 * number(row) + offset  # not the label itself


def shifted_group(offset: int) -> Callable[[int], int]:
    return lambda row: row % 4 + 10 * offset


def split_counts(settings: Path) -> Counter[tuple[str, object]]:
    """Rows by split and label, or by split for a regression, as ExampleGen splits them."""
    config = load_config(settings)
    schema = load_schema(config, settings)
    source, data = config.data.source, config.data
    path = str(Path(data.path) / data.pattern)
    table_ = Table.of(source.format, path, column_types(schema), source.missing_values, source.dialect)
    split = Split(
        SPLITS,
        tuple(itertools.accumulate(getattr(data.splits, each) for each in SPLITS)),
        data.split_seed,
        data.split_key,
    )
    labels = config.label.classes or (None,)
    found: Counter[tuple[str, object]] = Counter({(name, each): 0 for name in SPLITS for each in labels})
    for batch in table_.read(path):
        columns = table_.to_columns(batch, {}, path, 0)
        texts = [each.decode() if config.label.classes else None for each in columns[config.label.column].to_pylist()]
        chosen = split_columns(columns, to_bytes(encode(columns)), split)
        found.update((SPLITS[index], text) for index, text in zip(chosen, texts, strict=True))
    return found
