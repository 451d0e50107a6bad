"""Batching parameters, from the flags, a batching parameters file or a version's own file."""

import dataclasses
from pathlib import Path
from typing import Any

from serving.errors import invalid_argument
from serving.flags import Flags
from serving.models.batching import Batching
from serving.text_protos import BatchingParameters, read_text_proto

VERSION_FILE = "batching_params.pbtxt"
BOUNDS = {
    "max_batch_size": (1, 1 << 20),
    "batch_timeout_micros": (0, 3_600_000_000),
    "max_enqueued_batches": (1, 1 << 20),
    "num_batch_threads": (1, 1024),
    "max_execution_batch_size": (1, 1 << 20),
}


def batching_from_flags(flags: Flags) -> Batching | None:
    """Returns the batching parameters for all models, or ``None`` if batching is off.

    Raises:
        ServingError: The file cannot be read or is invalid, or it is given without ``--enable_batching``.
    """
    if not flags.enable_batching:
        if flags.batching_parameters_file:
            raise invalid_argument("--batching_parameters_file supplied without --enable_batching")
        return None
    if not flags.batching_parameters_file:
        return Batching()
    return read_batching(Path(flags.batching_parameters_file))


def read_batching(path: Path) -> Batching:
    """Reads a text file with ``BatchingParameters``.

    Raises:
        ServingError: It cannot be read, or a value is out of range or inconsistent.
    """
    message = read_text_proto(path, BatchingParameters())
    values: dict[str, Any] = {field: getattr(message, field).value for field in BOUNDS if message.HasField(field)}
    for field, value in values.items():
        minimum, maximum = BOUNDS[field]
        if not minimum <= value <= maximum:
            raise invalid_argument(f"{path}: found {field} {value}; expected {minimum} to {maximum}")
    sizes = tuple(message.allowed_batch_sizes)
    splitting = message.enable_large_batch_splitting.value
    batching = Batching(
        **values,
        allowed_batch_sizes=sizes,
        enable_large_batch_splitting=splitting,
        pad_variable_length_inputs=message.pad_variable_length_inputs,
    )
    last = (splitting and batching.max_execution_batch_size) or batching.max_batch_size
    if sizes and (list(sizes) != sorted(set(sizes)) or sizes[0] < 1 or sizes[-1] != last):
        name = "max_batch_size" if last == batching.max_batch_size else "max_execution_batch_size"
        raise invalid_argument(
            f"{path}: found allowed_batch_sizes {list(sizes)}; expected increasing sizes that end with {name} {last}"
        )
    return batching


def version_batching(path: Path, common: Batching) -> Batching | None:
    """Returns a version's own batching parameters, or ``None`` if it has none.

    Args:
        path: Folder of the version.
        common: The server's parameters. Only their number of threads applies to such a version.

    Raises:
        ServingError: The file cannot be read or is invalid.
    """
    file = path / VERSION_FILE
    if not file.exists():
        return None
    return dataclasses.replace(read_batching(file), num_batch_threads=common.num_batch_threads)
