"""What a run pushed, and real rows to ask it with."""

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.inference.warmup import WARMUP_FILE

MISSING: dict[tf.DType, Any] = {tf.float32: math.nan, tf.int64: tf.int64.min, tf.string: b""}


@dataclasses.dataclass(frozen=True)
class Pushed:
    """The version that a run pushed.

    Attributes:
        saved: The SavedModel's folder.
        lite: The TFLite file; ``None`` if the run made none.
        examples: Serialized Examples, those of the warm-up requests.
    """

    saved: Path
    lite: Path | None
    examples: list[bytes]


def last_pushed(output: Path) -> Pushed:
    """What the last run into a folder pushed; ends the program with one line if that is nothing."""
    try:
        summary = json.loads((output / "runs/latest/summary.json").read_text())
        saved = Path(summary["pushed"]["path"])
        lite = Path(summary["tflite"]["path"]) if summary["tflite"] else None
        if not (saved / WARMUP_FILE).exists():
            raise FileNotFoundError(saved / WARMUP_FILE)
    except (OSError, KeyError, TypeError, ValueError) as error:
        refuse(f"{output}: the last run there pushed nothing ({error}); run local_runner.py first")
    records = tf.data.TFRecordDataset(str(saved / WARMUP_FILE)).as_numpy_iterator()
    requests = [prediction_log_pb2.PredictionLog.FromString(record).predict_log.request for record in records]
    return Pushed(saved, lite, max((list(request.inputs["examples"].string_val) for request in requests), key=len))


def row(example: bytes) -> dict[str, Any]:
    """The values of an Example by feature; those without a value are left out."""
    features = tf.train.Example.FromString(example).features.feature
    lists = {name: getattr(feature, feature.WhichOneof("kind") or "bytes_list") for name, feature in features.items()}
    return {name: each.value[0] for name, each in lists.items() if each.value}


def columns(examples: list[bytes], signature: Any) -> dict[str, Any]:
    """The inputs of ``serve_raw``: by feature an array [N, 1], with the missing value where there is none."""
    rows = [row(example) for example in examples]
    specs = signature.structured_input_signature[1]
    return {
        name: np.array([[each.get(name, MISSING[spec.dtype])] for each in rows], spec.dtype.as_numpy_dtype)
        for name, spec in specs.items()
    }


def tensors(examples: list[bytes], signature: Any) -> dict[str, tf.Tensor]:
    """The same as tensors, ready for a call in process."""
    return {name: tf.constant(array) for name, array in columns(examples, signature).items()}


def refuse(line: str) -> NoReturn:
    """Ends the program with one line."""
    print(f"error: {line}", file=sys.stderr)
    sys.exit(2)
