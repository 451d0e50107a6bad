"""The model that the last run pushed, and rows to send to it."""

import dataclasses
import math
import sys
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from artifacts.names import SUMMARY_FILE, WARMUP_FILE
from artifacts.summary import read_summary

MISSING: dict[tf.DType, Any] = {tf.float32: math.nan, tf.int64: tf.int64.min, tf.string: b""}


@dataclasses.dataclass(frozen=True)
class Pushed:
    """The version that a run pushed.

    Attributes:
        saved: Folder of the SavedModel.
        lite: The TFLite file, or ``None`` if the run exported none.
        examples: Serialized tf.Examples, taken from the warm-up requests.
    """

    saved: Path
    lite: Path | None
    examples: list[bytes]


def last_pushed(output: Path) -> Pushed:
    """Returns the version that the last run in ``output`` pushed. Exits with an error if it pushed none."""
    try:
        summary = read_summary(output / "runs/latest" / SUMMARY_FILE)
        if summary.pushed is None:
            raise ValueError(f"its status is {summary.status}")
        saved = Path(summary.pushed.path)
        lite = Path(summary.tflite.path) if summary.tflite and summary.tflite.path else None
        if not (saved / WARMUP_FILE).exists():
            raise FileNotFoundError(saved / WARMUP_FILE)
    except (OSError, ValueError) as error:
        exit_with_error(f"{output}: found no pushed model of the last run ({error}); run local_runner.py first")
    records = tf.data.TFRecordDataset(str(saved / WARMUP_FILE)).as_numpy_iterator()
    requests = [prediction_log_pb2.PredictionLog.FromString(record).predict_log.request for record in records]
    return Pushed(saved, lite, max((list(request.inputs["examples"].string_val) for request in requests), key=len))


def row(example: bytes) -> dict[str, Any]:
    """Returns the values of a serialized tf.Example by feature, without missing values."""
    features = tf.train.Example.FromString(example).features.feature
    lists = {name: getattr(feature, feature.WhichOneof("kind") or "bytes_list") for name, feature in features.items()}
    return {name: each.value[0] for name, each in lists.items() if each.value}


def columns(examples: list[bytes], signature: Any) -> dict[str, Any]:
    """Returns the inputs of ``serve_raw``: an array [N, 1] per feature, filled up with the missing-value markers."""
    rows = [row(example) for example in examples]
    specs = signature.structured_input_signature[1]
    return {
        name: np.array([[each.get(name, MISSING[spec.dtype])] for each in rows], spec.dtype.as_numpy_dtype)
        for name, spec in specs.items()
    }


def tensors(examples: list[bytes], signature: Any) -> dict[str, tf.Tensor]:
    """Returns the inputs of ``serve_raw`` as tensors. See :func:`columns`."""
    return {name: tf.constant(array) for name, array in columns(examples, signature).items()}


def exit_with_error(line: str) -> NoReturn:
    """Prints a one-line error and ends the program with exit code 2."""
    print(f"error: {line}", file=sys.stderr)
    sys.exit(2)
