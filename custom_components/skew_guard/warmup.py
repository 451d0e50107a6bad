"""Warm-up requests, which TensorFlow Serving replays before it accepts others.

See "SavedModel Warmup" in TensorFlow Serving's documentation. It replays at most 1,000 requests.
"""

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, predict_pb2, prediction_log_pb2, regression_pb2

from artifacts.names import WARMUP_FILE
from models.signatures import CLASSIFY, REGRESS, SERVE_RAW, SERVING, TRANSFORM_FEATURES

BATCH = 32


def write_warmup(
    model_dir: Path, name: str, examples: Sequence[bytes], columns: dict[str, tf.Tensor], signatures: Sequence[str]
) -> int:
    """Writes warm-up requests into a SavedModel: one row and one batch for each signature that a client calls.

    Args:
        model_dir: The SavedModel.
        name: Name under which the model is served.
        examples: Serialized ``tf.Example`` of real rows, without the label.
        columns: The same rows as dense tensors [N, 1], by raw column.
        signatures: Signatures of the model.

    Returns:
        Number of requests.
    """
    logs = [
        log
        for rows in (1, min(BATCH, len(examples)))
        for signature in signatures
        if (log := _log(name, signature, examples[:rows], {key: value[:rows] for key, value in columns.items()}))
    ]
    path = model_dir / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())
    return len(logs)


def _log(
    name: str, signature: str, examples: Sequence[bytes], columns: dict[str, tf.Tensor]
) -> prediction_log_pb2.PredictionLog | None:
    log = prediction_log_pb2.PredictionLog()
    match signature:
        case _ if signature in (SERVING, TRANSFORM_FEATURES):
            _fill_predict(log.predict_log.request, {"examples": tf.constant(examples)})
            spec = log.predict_log.request.model_spec
        case _ if signature == SERVE_RAW:
            _fill_predict(log.predict_log.request, columns)
            spec = log.predict_log.request.model_spec
        case _ if signature == CLASSIFY:
            _fill_examples(log.classify_log.request, examples)
            spec = log.classify_log.request.model_spec
        case _ if signature == REGRESS:
            _fill_examples(log.regress_log.request, examples)
            spec = log.regress_log.request.model_spec
        case _:
            return None
    spec.name = name
    spec.signature_name = signature
    return log


def _fill_predict(request: predict_pb2.PredictRequest, inputs: dict[str, tf.Tensor]) -> None:
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))


def _fill_examples(
    request: classification_pb2.ClassificationRequest | regression_pb2.RegressionRequest, examples: Sequence[bytes]
) -> None:
    for example in examples:
        request.input.example_list.examples.append(tf.train.Example.FromString(example))
