from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest
from conftest import SAMPLE

from benchmarks.runs import taxi_table

COPIES = 4


@pytest.fixture(scope="module")
def sample() -> pa.Table:
    return pyarrow.csv.read_csv(SAMPLE)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("jittered") / "folder/taxi.csv"
    assert taxi_table.write(path, COPIES) == COPIES * 15_002
    return path


@pytest.fixture(scope="module")
def copies(path: Path, sample: pa.Table) -> list[pa.Table]:
    rows = pyarrow.csv.read_csv(path)
    assert rows.num_rows == COPIES * sample.num_rows
    assert rows.schema == sample.schema  # types included: no whole number became a float
    return [rows.slice(number * sample.num_rows, sample.num_rows) for number in range(COPIES)]


def labels(table: pa.Table) -> npt.NDArray[np.bool_]:
    """As tf.Examples, which have single precision, give them."""
    tips, fare = (table[name].to_numpy().astype(np.float32) for name in ("tips", "fare"))
    return np.asarray(tips > fare * np.float32(0.2))


def test_first_copy_is_the_sample_to_the_byte(path: Path) -> None:
    assert path.read_bytes().startswith(SAMPLE.read_bytes())


def test_each_copy_has_values_of_its_own(copies: list[pa.Table]) -> None:
    for name in ("fare", "trip_miles", "trip_seconds", "pickup_latitude", "trip_start_timestamp"):
        different = [pc.mean(pc.not_equal(one[name], copies[-1][name])).as_py() for one in copies[:-1]]
        assert min(different) > 0.6, name


def test_what_is_missing_stays_missing(copies: list[pa.Table], sample: pa.Table) -> None:
    for name in sample.column_names:
        assert copies[-1][name].is_null().equals(sample[name].is_null()), name


def test_labels_and_categories_are_the_samples(copies: list[pa.Table], sample: pa.Table) -> None:
    for copy in copies:
        np.testing.assert_array_equal(labels(copy), labels(sample))
        assert copy["payment_type"].equals(sample["payment_type"])


def test_another_seed_makes_another_table(tmp_path: Path, path: Path) -> None:
    taxi_table.write(tmp_path / "same.csv", COPIES)
    taxi_table.write(tmp_path / "other.csv", COPIES, seed=1)
    assert (tmp_path / "same.csv").read_bytes() == path.read_bytes() != (tmp_path / "other.csv").read_bytes()
