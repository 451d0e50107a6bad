import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tensorflow as tf
from small_table import BINARY, COLOURS, MULTICLASS, ROWS, UNSCALED, Row, small_table

from models.problem.problem import Problem
from models.training.input import RowOrder, TrainingInput, input_fn
from models.training.label_check import check_label

CACHES: tuple[Literal["memory", "none"], ...] = ("memory", "none")


def prices(seed: int | None, batches: int, batch_size: int = 64) -> list[float]:
    """The labels of the rows, which are unique."""
    table = small_table()
    if seed is None:
        dataset = input_fn(table.files, table.graph, UNSCALED, batch_size)
    else:
        rows = TrainingInput(table.files, table.graph, UNSCALED, batch_size, RowOrder(seed))
        dataset = rows.dataset(tf.distribute.InputContext()).map(lambda *several: rows.batch(several, 0))
    dataset = dataset.take(batches)
    return [float(price) for _, labels in dataset for price in labels[:, 0]]


def amounts() -> list[float]:
    return [float(np.float32(row["amount"])) for row in small_table().rows]


def test_without_a_seed_rows_come_once_in_file_order() -> None:
    assert prices(seed=None, batches=1000) == amounts()


@pytest.mark.parametrize(("batch_size", "sizes"), [(ROWS, [ROWS]), (100, [100, 100, 100, 20])])
def test_the_last_batch_has_the_remaining_rows(batch_size: int, sizes: list[int]) -> None:
    table = small_table()
    assert [len(labels) for _, labels in input_fn(table.files, table.graph, BINARY, batch_size)] == sizes


def test_each_epoch_has_all_rows_in_another_order() -> None:
    order = prices(seed=3, batches=2, batch_size=ROWS)
    first, second = order[:ROWS], order[ROWS:]
    assert sorted(first) == sorted(second) == sorted(amounts())
    assert first != amounts()
    assert first != second


def test_the_order_depends_on_the_seed() -> None:
    first = prices(seed=3, batches=8)
    assert prices(seed=3, batches=8) == first
    assert prices(seed=4, batches=8) != first


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("workers", [2, 3])
def test_workers_share_the_rows_of_each_batch(workers: int, cache: Any) -> None:
    table, order = small_table(), RowOrder(5, cache=cache)
    one = TrainingInput(table.files, table.graph, UNSCALED, 60, order)
    shares = []
    for index in range(workers):
        context = tf.distribute.InputContext(workers, index, workers)
        shares.append(read(one, context, batches=20))
    whole = read(one, tf.distribute.InputContext(), batches=20)
    for place, batch in enumerate(whole):
        assert len(batch) == 60
        assert sorted(batch) == sorted(price for share in shares for price in share[place])


@pytest.mark.parametrize("cache", CACHES)
def test_a_resumed_training_continues_after_the_rows_it_has_read(cache: Any) -> None:
    table, context = small_table(), tf.distribute.InputContext()
    whole = read(TrainingInput(table.files, table.graph, UNSCALED, 50, RowOrder(5, cache=cache)), context, 10)
    later = RowOrder(5, cache=cache, skip=350)
    assert read(TrainingInput(table.files, table.graph, UNSCALED, 50, later), context, 3) == whole[7:]


@pytest.mark.parametrize("cache", CACHES)
def test_training_batches_have_static_shapes(cache: Any) -> None:
    table = small_table()
    source = TrainingInput(table.files, table.graph, BINARY, 50, RowOrder(5, cache=cache))
    specs = tf.nest.flatten(source.dataset(tf.distribute.InputContext(num_replicas_in_sync=2)).element_spec)
    assert {(*spec.shape[:2],) for spec in specs} == {(source.steps, 25)}
    assert all(spec.shape.is_fully_defined() for spec in specs)


def test_rows_in_memory_equal_streamed_rows() -> None:
    table, context = small_table(), tf.distribute.InputContext()
    sources = [TrainingInput(table.files, table.graph, BINARY, ROWS, RowOrder(5, cache=cache)) for cache in CACHES]
    kept, streamed = (source.batch(next(iter(source.dataset(context))), 0) for source in sources)
    for columns, other in ((kept[0], streamed[0]), ({"": kept[1]}, {"": streamed[1]})):
        assert columns.keys() == other.keys()
        for name, column in columns.items():
            assert column.dtype == other[name].dtype
            np.testing.assert_array_equal(np.sort(column, axis=0), np.sort(other[name], axis=0))


def test_the_last_batch_can_be_filled_up() -> None:
    table = small_table()
    batches = input_fn(table.files, table.graph, UNSCALED, 100, equal_sizes=True)
    assert batches.element_spec[1].shape == [100, 1]
    prices = [float(price) for _, labels in batches for price in labels[:, 0]]
    assert prices == [*amounts(), *amounts()[: 400 - ROWS]]


def read(rows: TrainingInput, context: tf.distribute.InputContext, batches: int) -> list[list[float]]:
    found: list[list[float]] = []
    for several in rows.dataset(context):
        found += [[float(price) for price in rows.batch(several, place)[1][:, 0]] for place in range(rows.steps)]
        if len(found) >= batches:
            break
    return found[:batches]


def test_features_and_label_of_a_row_stay_together() -> None:
    table = small_table()
    features, label = next(iter(input_fn(table.files, table.graph, BINARY, ROWS)))
    expected = table.transform(table.rows)
    assert set(features) == set(BINARY.features.transformed_names)
    for name, column in features.items():
        np.testing.assert_array_equal(column, expected[name])
    np.testing.assert_array_equal(label, expected["rich"])
    assert label.dtype == tf.int64


def test_an_error_names_the_pattern_without_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"found no transformed examples at \['.*nothing\*'\]"):
        input_fn([f"{tmp_path}/nothing*"], small_table().graph, BINARY, 8)


def labelled(column: str, *values: Any) -> list[Row]:
    return [{column: value} for value in values]


@pytest.mark.parametrize(
    ("problem", "rows", "found"),
    [
        (BINARY, labelled("amount", *[90.0] * 1500), "'rich' in all of the 1,500 training rows"),
        (BINARY, labelled("amount", 10.0), "'poor' in all of the 1 training rows"),
        (MULTICLASS, labelled("colour", "blue", "blue"), "'blue' in all of the 2 training rows"),
        (UNSCALED, labelled("amount", 5.0, 5.0), "the same value in all of the 2 training rows"),
    ],
)
def test_a_constant_label_is_rejected(tmp_path: Path, problem: Problem, rows: list[Row], found: str) -> None:
    table = small_table()
    files = table.write(tmp_path / "examples.gz", rows)
    label = re.escape(problem.label.name)
    with pytest.raises(ValueError, match=f"label '{label}': found {found}.*'{problem.label.column}'"):
        check_label(files, table.graph, problem)


@pytest.mark.parametrize(
    ("problem", "rows"),
    [
        (BINARY, labelled("amount", *[90.0] * 2000, 10.0)),
        (BINARY, labelled("amount", *[10.0] * 1024, 90.0)),
        (MULTICLASS, labelled("colour", *COLOURS[:2])),
        (UNSCALED, labelled("amount", 5.0, 5.5)),
    ],
)
def test_a_second_label_is_enough(tmp_path: Path, problem: Problem, rows: list[Row]) -> None:
    table = small_table()
    check_label(table.write(tmp_path / "examples.gz", rows), table.graph, problem)


def test_a_split_without_rows_is_rejected(tmp_path: Path) -> None:
    table = small_table()
    with pytest.raises(ValueError, match="found no rows in the training split"):
        check_label(table.write(tmp_path / "examples.gz", []), table.graph, BINARY)


def test_a_split_too_large_for_memory_is_shuffled_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.training.input.MAX_BYTES_IN_MEMORY", 1)
    order = prices(seed=3, batches=1, batch_size=ROWS)
    assert sorted(order) == sorted(amounts())
    assert order != amounts()
    assert prices(seed=3, batches=1, batch_size=ROWS) == order
