"""Artifact types that TFX does not have.

Vertex AI names an artifact's type ``package.Class``, so ``custom_components/__init__.py`` exports these classes too.
"""

from tfx import types


class AblationReport(types.artifact.Artifact):
    """Output of Ablation: ``report.json``, see :class:`artifacts.nodes.ablation.AblationReport`.

    The custom properties ``leak``, ``redundant`` and ``noise`` are JSON lists of the columns with these verdicts.
    """

    TYPE_NAME = "custom_components.AblationReport"


class DataBlessing(types.artifact.Artifact):
    """Output of AnomalyGate: the examples conform to the schema.

    The custom property ``warnings`` is the number of anomalies of severity WARNING.
    """

    TYPE_NAME = "custom_components.DataBlessing"


class SkewReport(types.artifact.Artifact):
    """Output of SkewGuard: ``report.json``, see :class:`artifacts.nodes.skew.SkewReport`."""

    TYPE_NAME = "custom_components.SkewReport"


class TfliteModel(types.artifact.Artifact):
    """Output of TfliteExporter: ``model.tflite``, and ``report.json`` with the comparison with the SavedModel.

    The custom properties repeat the report's values. ``blessed`` is 1 if the model is within all bounds. If it is 0,
    ``reason`` says why in one line. If the Evaluator or SkewGuard did not bless the model, ``blessed`` is the only
    property and there are no files.
    """

    TYPE_NAME = "custom_components.TfliteModel"
