"""What TfliteExporter gives: the artifact, its files and its properties."""

from tfx import types

MODEL_FILE, REPORT_FILE = "model.tflite", "report.json"
BLESSED, REASON = "blessed", "reason"


class TfliteModel(types.artifact.Artifact):
    """``model.tflite``, and ``report.json``: how it does beside the SavedModel.

    Its custom properties repeat the report's figures. ``blessed`` is 1 if all bounds are kept, and ``reason`` tells in
    one line why it is 0. Where the Evaluator or the skew guard blessed no model there is ``blessed`` alone, and no
    file.
    """

    TYPE_NAME = "custom_components.TfliteModel"
