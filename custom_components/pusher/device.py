"""The files that are pushed for devices: the TFLite model with its version in it, and a manifest."""

import hashlib
import json
from pathlib import Path

from artifacts.names import TFLITE_FILE
from custom_components.shared.tflite_file import with_metadata
from serving.edge import MANIFEST_FILE, METADATA, read_metadata, read_model


def write_device_model(exported: Path, folder: Path, version: int, run_id: str | None) -> None:
    """Writes ``model.tflite`` and ``manifest.json``.

    Args:
        exported: The TFLite exporter's model.
        folder: The folder to write to.
        version: The version that it is pushed as.
        run_id: The run that pushes it.

    Raises:
        OSError: The model cannot be read, or a file cannot be written.
    """
    content = exported.read_bytes()
    origin = {"version": str(version), "run_id": run_id}
    metadata = read_metadata(content) | origin
    content = with_metadata(content, METADATA, metadata)
    manifest = {
        "model": metadata["model"],
        **origin,
        "file": TFLITE_FILE,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "quantization": metadata["quantization"],
    }
    (folder / TFLITE_FILE).write_bytes(content)
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n")


def is_complete(folder: Path) -> bool:
    """Returns whether a version's folder holds the model that its manifest describes."""
    try:
        read_model(folder / TFLITE_FILE)
    except (OSError, ValueError):
        return False
    return (folder / MANIFEST_FILE).exists()
