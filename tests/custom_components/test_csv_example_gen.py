from collections import Counter
from pathlib import Path

import pytest
import tensorflow as tf
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx.types import artifact_utils
from tfx.types.standard_artifacts import Examples

from custom_components.csv_example_gen.component import SeededCsvExampleGen
from custom_components.csv_example_gen.executor import Executor
from custom_components.seeded_split import split_index

BOUNDS = (7, 8, 10)
RUNNER = f"--runner={FnApiRunner.__module__}.{FnApiRunner.__name__}"
cells = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(width=32, allow_nan=False) | st.text(max_size=5)
rows = st.dictionaries(st.sampled_from(["user", "fare", "city", "tips"]), cells)


def example(row: dict[str, object]) -> tf.train.Example:
    result = tf.train.Example()
    for name, value in row.items():
        feature = result.features.feature[name]
        if isinstance(value, int):
            feature.int64_list.value.append(value)
        elif isinstance(value, float):
            feature.float_list.value.append(value)
        elif isinstance(value, str):
            feature.bytes_list.value.append(value.encode())
        else:
            del result.features.feature[name]
    return result


def split_of(row: dict[str, object], seed: int = 0, key: str | None = None) -> int:
    return split_index(example(row), len(BOUNDS), BOUNDS, seed, key)


@settings(deadline=None)
@given(row=rows, seed=st.integers(0, 2**31), key=st.none() | st.just("user"))
def test_a_row_always_falls_into_the_same_split(row: dict[str, object], seed: int, key: str | None) -> None:
    reordered = dict(reversed(row.items()))
    found = split_of(row, seed, key)
    assert found in range(len(BOUNDS))
    assert split_of(reordered, seed, key) == found


@settings(deadline=None)
@given(one=rows, other=rows, user=cells.filter(lambda cell: cell is not None), seed=st.integers(0, 99))
def test_rows_that_share_the_key_are_on_the_same_side(
    one: dict[str, object], other: dict[str, object], user: object, seed: int
) -> None:
    assert split_of({**one, "user": user}, seed, "user") == split_of({**other, "user": user}, seed, "user")


def test_without_a_key_rows_of_one_user_are_spread() -> None:
    assert len({split_of({"user": 1, "fare": fare}) for fare in range(100)}) == 3


def test_rows_that_lack_the_key_are_no_group() -> None:
    assert len({split_of({"fare": fare}, key="user") for fare in range(100)}) == 3


@pytest.mark.parametrize("key", [None, "user"])
def test_shares_are_about_those_asked_for(key: str | None) -> None:
    counts = Counter(split_of({"user": number}, key=key) for number in range(5000))
    for index, share in enumerate((0.7, 0.1, 0.2)):
        assert counts[index] / 5000 == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("key", [None, "user"])
def test_another_seed_is_another_split(key: str | None) -> None:
    first, second = ([split_of({"user": user}, seed, key) for user in range(500)] for seed in (1, 2))
    moved = sum(one != other for one, other in zip(first, second, strict=True)) / 500
    assert moved == pytest.approx(1 - (0.49 + 0.01 + 0.04), abs=0.08)


def read_splits(folder: Path, output: Path, seed: int = 0, key: str | None = None) -> dict[str, list[tf.train.Example]]:
    """Runs the node's executor over ``folder``; the examples it wrote, by split."""
    node = SeededCsvExampleGen(str(folder), "*.csv", {"train": 7, "validation": 1, "eval": 2}, seed=seed, key=key)
    examples = Examples()
    examples.uri = str(output)
    context = Executor.Context(beam_pipeline_args=[RUNNER], tmp_dir=str(output / ".temp"))
    Executor(context).Do({}, {"examples": [examples]}, dict(node.exec_properties))
    found = {}
    for split in artifact_utils.decode_split_names(examples.split_names):
        files = sorted(str(path) for path in output.glob(f"Split-{split}/*.gz"))
        records = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
        found[split] = [tf.train.Example.FromString(record) for record in records]
    return found


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of 300 rows together; every tenth row has no user, every third no city."""
    folder = tmp_path_factory.mktemp("table")
    for part in range(2):
        lines = ["row,user,city"]
        for row in range(part * 150, part * 150 + 150):
            user = "" if row % 10 == 0 else f"u{row % 40}"
            lines.append(f"{row},{user},{'' if row % 3 == 0 else 'Zürich'}")
        (folder / f"part-{part}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def row_numbers(examples: list[tf.train.Example]) -> set[int]:
    return {example.features.feature["row"].int64_list.value[0] for example in examples}


def test_every_row_is_written_once_with_groups_kept_together(table: Path, tmp_path: Path) -> None:
    splits = read_splits(table, tmp_path, key="user")
    assert list(splits) == ["train", "validation", "eval"]
    numbers = [row_numbers(examples) for examples in splits.values()]
    assert set.union(*numbers) == set(range(300))
    assert sum(len(examples) for examples in splits.values()) == 300
    users = [{f"u{row % 40}" for row in part if row % 10} for part in numbers]
    assert all(users)
    assert users[0].isdisjoint(users[1] | users[2])
    assert users[1].isdisjoint(users[2])


def test_an_empty_cell_is_an_absent_feature(table: Path, tmp_path: Path) -> None:
    splits = read_splits(table, tmp_path)
    for written in (example for examples in splits.values() for example in examples):
        features = written.features.feature
        row = features["row"].int64_list.value[0]
        expected = {"row", *(["user"] if row % 10 else []), *(["city"] if row % 3 else [])}
        assert set(features) == expected
        if row % 3:
            assert features["city"].bytes_list.value[0].decode() == "Zürich"


def test_the_split_follows_the_seed(table: Path, tmp_path: Path) -> None:
    one, other = (row_numbers(read_splits(table, tmp_path / str(seed), seed)["train"]) for seed in (5, 6))
    assert one != other


def test_rows_keep_the_tables_order(tmp_path: Path) -> None:
    folder = tmp_path / "table"
    folder.mkdir()
    for part in reversed(range(12)):
        lines = ["row", *(str(row) for row in range(part * 100, part * 100 + 100))]
        (folder / f"part-{part:02}.csv").write_text("\n".join(lines) + "\n")
    for split in read_splits(folder, tmp_path).values():
        numbers = [example.features.feature["row"].int64_list.value[0] for example in split]
        assert numbers
        assert numbers == sorted(numbers)
