"""Names of slices in ``summary.json``, in thresholds and on report pages."""

from collections.abc import Mapping

OVERALL = "overall"


def slice_name(columns: Mapping[str, str | int]) -> str:
    """Returns ``overall``, or ``column=value`` pairs sorted by column.

    >>> slice_name({})
    'overall'
    >>> slice_name({"payment_type": "Cash", "hour": 8})
    'hour=8, payment_type=Cash'
    """
    return ", ".join(f"{column}={value}" for column, value in sorted(columns.items())) or OVERALL
