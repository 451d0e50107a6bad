"""Components of our own, one folder each.

Vertex AI knows an artifact's type by ``package.Class`` alone, and its steps import it by that name from here.
"""

import importlib
from typing import Any

_ARTIFACTS = {
    "DataBlessing": "custom_components.anomaly_gate.component",
    "SkewReport": "custom_components.skew_guard.component",
    "TfliteModel": "custom_components.tflite_exporter.artifact",
}


def __getattr__(name: str) -> Any:
    if name not in _ARTIFACTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_ARTIFACTS[name]), name)
