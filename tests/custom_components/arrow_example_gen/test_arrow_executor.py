from pathlib import Path

import pytest
import tensorflow as tf
from ingest import ingest, parsed


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
    splits = parsed(ingest(table, tmp_path, key="user"))
    assert list(splits) == ["train", "validation", "eval"]
    numbers = [row_numbers(examples) for examples in splits.values()]
    assert set.union(*numbers) == set(range(300))
    assert sum(len(examples) for examples in splits.values()) == 300
    users = [{f"u{row % 40}" for row in part if row % 10} for part in numbers]
    assert all(users)
    assert users[0].isdisjoint(users[1] | users[2])
    assert users[1].isdisjoint(users[2])


def test_an_empty_cell_is_an_absent_feature(table: Path, tmp_path: Path) -> None:
    splits = parsed(ingest(table, tmp_path))
    for written in (example for examples in splits.values() for example in examples):
        features = written.features.feature
        row = features["row"].int64_list.value[0]
        expected = {"row", *(["user"] if row % 10 else []), *(["city"] if row % 3 else [])}
        assert set(features) == expected
        if row % 3:
            assert features["city"].bytes_list.value[0].decode() == "Zürich"


def test_the_split_follows_the_seed(table: Path, tmp_path: Path) -> None:
    one, other = (row_numbers(parsed(ingest(table, tmp_path / str(seed), seed=seed))["train"]) for seed in (5, 6))
    assert one != other


def test_rows_keep_the_tables_order(tmp_path: Path) -> None:
    folder = tmp_path / "table"
    folder.mkdir()
    for part in reversed(range(12)):
        lines = ["row", *(str(row) for row in range(part * 100, part * 100 + 100))]
        (folder / f"part-{part:02}.csv").write_text("\n".join(lines) + "\n")
    for split in parsed(ingest(folder, tmp_path)).values():
        numbers = [example.features.feature["row"].int64_list.value[0] for example in split]
        assert numbers
        assert numbers == sorted(numbers)
