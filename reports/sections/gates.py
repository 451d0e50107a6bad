"""What the skew guard and the exporter for devices found."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from lineage.store.messages import json_object
from reports.source import MissingError, Source

REPORT_FILE = "report.json"


@dataclasses.dataclass(frozen=True)
class Skew:
    """The skew guard's proof that serving answers as training saw it.

    Attributes:
        found: Where they differ, in one line; ``None`` if nowhere.
        examples: Rows of the eval split that were held against each other.
        compared: Values compared, by signature.
        largest_difference: Between a prediction that is served and the network's; ``None`` if none was compared.
        server: What loading the model in a fresh process took.
    """

    found: str | None
    examples: int | None
    compared: Mapping[str, int]
    largest_difference: float | None
    server: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Device:
    """The model for devices, as the exporter measured it.

    Attributes:
        bytes: Its size.
        saved_bytes: The size of the SavedModel it was made of; ``None`` where that is gone.
        quantization: How the network is quantized.
        builtin_only: Whether it runs on TFLite's builtin operators alone.
        rows: Rows of the eval split that it was held against the SavedModel on.
        max_abs_diff: Largest difference of a prediction; this and the next ones are ``None`` where not defined.
        metric: The metric that is compared.
        saved_model: That metric of the SavedModel.
        tflite: That metric of the TFLite model.
        p50_ms: Median time for a row, in milliseconds, on one thread.
        p99_ms: The time that 1 % of the rows exceed.
        refused: The bounds that it does not keep, in one line; empty if it keeps all.
    """

    bytes: int
    saved_bytes: int | None
    quantization: str
    builtin_only: bool
    rows: int | None
    max_abs_diff: float | None
    metric: str | None
    saved_model: float | None
    tflite: float | None
    p50_ms: float | None
    p99_ms: float | None
    refused: str


def read_skew(source: Source) -> Skew:
    """The skew guard's report.

    Raises:
        MissingError: It did not finish, or its files are gone.
    """
    report = json_object((source.path("SkewGuard", "report") / REPORT_FILE).read_text(encoding="utf-8"))
    return Skew(
        found=report.get("skew"),
        examples=report.get("examples"),
        compared=report.get("compared") or {},
        largest_difference=report.get("largest_difference"),
        server=report.get("server") or {},
    )


def read_device(source: Source) -> Device:
    """The exporter's report.

    Raises:
        MissingError: It did not finish, exported nothing, or its files are gone.
    """
    path = source.path("TfliteExporter", "tflite_model") / REPORT_FILE
    if not path.exists():
        raise MissingError("TfliteExporter exported nothing: the model was not blessed")
    report = json.loads(path.read_text(encoding="utf-8"))
    fields = {field.name: report.get(field.name) for field in dataclasses.fields(Device)}
    return Device(**fields | {"saved_bytes": _saved_bytes(source), "refused": report.get("reason") or ""})


def _saved_bytes(source: Source) -> int | None:
    try:
        folder = source.path("Trainer", "model") / "Format-Serving"
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) or None
    except (MissingError, OSError):
        return None
