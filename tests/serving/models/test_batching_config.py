from pathlib import Path

import pytest

from serving.errors import ServingError
from serving.flags import Flags
from serving.models.batching import Batching
from serving.models.batching_config import batching_from_flags


def test_batching_parameters_are_read(tmp_path: Path) -> None:
    path = tmp_path / "batching"
    path.write_text(
        "max_batch_size { value: 32 } batch_timeout_micros { value: 500 } max_enqueued_batches { value: 9 } "
        "num_batch_threads { value: 3 } allowed_batch_sizes: 8 allowed_batch_sizes: 32 pad_variable_length_inputs: true"
    )
    assert batching_from_flags(Flags(enable_batching=True, batching_parameters_file=str(path))) == Batching(
        max_batch_size=32,
        batch_timeout_micros=500,
        max_enqueued_batches=9,
        num_batch_threads=3,
        allowed_batch_sizes=(8, 32),
        pad_variable_length_inputs=True,
    )
    assert batching_from_flags(Flags(enable_batching=True)) == Batching()
    assert batching_from_flags(Flags()) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_batch_size", 0),
        ("max_batch_size", 50_000_000),
        ("num_batch_threads", -4),
        ("max_enqueued_batches", 0),
        ("batch_timeout_micros", -1),
        ("max_execution_batch_size", -2),
    ],
)
def test_batching_parameters_out_of_range_are_rejected(tmp_path: Path, field: str, value: int) -> None:
    path = tmp_path / "batching"
    path.write_text(f"{field} {{ value: {value} }}")
    with pytest.raises(ServingError, match=f"found {field} {value}; expected [01] to "):
        batching_from_flags(Flags(enable_batching=True, batching_parameters_file=str(path)))


def test_batching_parameters_without_batching_are_rejected() -> None:
    with pytest.raises(ServingError, match="--batching_parameters_file supplied without --enable_batching"):
        batching_from_flags(Flags(batching_parameters_file="/b"))


@pytest.mark.parametrize("sizes", ["allowed_batch_sizes: 8 allowed_batch_sizes: 4", "allowed_batch_sizes: 8"])
def test_inconsistent_batch_sizes_are_rejected(tmp_path: Path, sizes: str) -> None:
    (tmp_path / "b").write_text(f"max_batch_size {{ value: 32 }} {sizes}")
    with pytest.raises(ServingError, match="expected increasing sizes that end with max_batch_size 32"):
        batching_from_flags(Flags(enable_batching=True, batching_parameters_file=str(tmp_path / "b")))
