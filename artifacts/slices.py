"""What slices are called: in ``summary.json``, in thresholds and on pages."""

from collections.abc import Mapping

from tensorflow_model_analysis.proto import metrics_for_slice_pb2

OVERALL = "overall"


def slice_name(columns: Mapping[str, str | int]) -> str:
    """``overall``, or ``column=value`` pairs in the order of the columns' names."""
    return ", ".join(f"{column}={value}" for column, value in sorted(columns.items())) or OVERALL


def name_of_key(key: metrics_for_slice_pb2.SliceKey) -> str:
    """The same of TFMA's key of a slice."""
    columns: dict[str, str | int] = {}
    for each in key.single_slice_keys:
        value = getattr(each, each.WhichOneof("kind"))
        columns[each.column] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return slice_name(columns)
