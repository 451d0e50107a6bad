"""Custom TFX components, one folder per component."""

from typing import Any

_ARTIFACT_TYPES = ("AblationReport", "DataBlessing", "SkewReport", "TfliteModel")


def __getattr__(name: str) -> Any:
    """Exports the artifact types, which Vertex AI's steps import as ``custom_components.<Class>``."""
    if name not in _ARTIFACT_TYPES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Imported on first use: importing TFX takes seconds.
    from custom_components.shared import artifact_types  # noqa: PLC0415

    return getattr(artifact_types, name)
