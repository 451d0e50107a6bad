"""The TFLite model: its size, speed and difference from the SavedModel."""

import dataclasses

from artifacts.names import REPORT_FILE
from artifacts.nodes.tflite import TfliteReport, read_tflite_report
from reports.section import Section
from reports.source import MissingError, Source


@dataclasses.dataclass(frozen=True)
class Device:
    """The TFLite model.

    Attributes:
        report: The exporter's report.
        saved_bytes: Size of the SavedModel, or ``None`` if it no longer exists.
    """

    report: TfliteReport
    saved_bytes: int | None


def read(source: Source) -> Device:
    """Reads the report of TfliteExporter.

    Raises:
        MissingError: TfliteExporter did not finish or exported nothing, or its folder no longer exists.
    """
    folder = source.path("TfliteExporter", "tflite_model")
    if not (folder / REPORT_FILE).exists():
        raise MissingError("TfliteExporter exported nothing: the model was not blessed")
    return Device(read_tflite_report(folder), _saved_bytes(source))


def _saved_bytes(source: Source) -> int | None:
    try:
        folder = source.path("Trainer", "model") / "Format-Serving"
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) or None
    except (MissingError, OSError):
        return None


SECTION = Section("device", "On a device (TFLite)", read, absent="No TFLite model")
