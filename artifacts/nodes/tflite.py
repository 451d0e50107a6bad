"""The report of TfliteExporter."""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from artifacts.files import read_object, to_record
from artifacts.names import REPORT_FILE
from artifacts.slices import OVERALL
from artifacts.thresholds import Bound, ThresholdResult


@dataclasses.dataclass(frozen=True)
class TfliteReport:
    """The comparison of a TFLite model with its SavedModel. Its fields are those of ``report.json``.

    Attributes:
        rows: Number of rows of the eval split that were compared.
        max_abs_diff: Maximum difference of a prediction, relative for predictions above 1. This and the other figures
            are ``None`` if undefined.
        metric: ``auc``, ``accuracy`` or ``r2``, by the task.
        saved_model: The metric of the SavedModel.
        tflite: The metric of the TFLite model.
        p50_ms: Median latency of one row on one thread, in milliseconds.
        p99_ms: 99th percentile of the latency.
        loss: How much lower the metric is than the SavedModel's.
        quantization: Quantization of the network.
        bytes: Size of the TFLite model.
        operators: Names of the operators that it uses.
        builtin_only: Whether it needs only TFLite's builtin operators.
        bounds: The bounds of the gate and whether they are met.
        reason: The bounds that are not met, in one line. Empty if all are met.
    """

    rows: int
    max_abs_diff: float | None
    metric: str
    saved_model: float | None
    tflite: float | None
    p50_ms: float
    p99_ms: float
    loss: float | None
    quantization: str
    bytes: int
    operators: Sequence[str]
    builtin_only: bool
    bounds: tuple[ThresholdResult, ...]
    reason: str

    def to_json(self) -> str:
        """Returns the content of the report file. Numbers that JSON cannot represent become null."""
        values = {name: _finite(value) for name, value in vars(self).items()}
        values["bounds"] = [
            {"metric": each.metric, "bound": each.bound, "value": _finite(each.value), "ok": each.ok}
            for each in self.bounds
        ]
        return json.dumps(values, indent=2, allow_nan=False)


def upper_bound(metric: str, bound: float) -> Bound:
    """Returns an upper bound of the gate on a metric over all rows."""
    return Bound(metric, OVERALL, "value", "<=", bound)


def read_tflite_report(folder: Path) -> TfliteReport:
    """Reads the report of a ``TfliteModel`` artifact.

    Raises:
        OSError: It cannot be read, for example because the exporter had no blessed model and wrote none.
        ValueError: It is not a report of TfliteExporter.
    """
    path = folder / REPORT_FILE
    values = read_object(path)
    try:
        bounds = tuple(
            dataclasses.replace(upper_bound(each["metric"], each["bound"]).check(each["value"]), ok=bool(each["ok"]))
            for each in values["bounds"]
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: found no bounds; expected a report of TfliteExporter") from error
    return to_record(TfliteReport, {**values, "bounds": bounds}, path)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
