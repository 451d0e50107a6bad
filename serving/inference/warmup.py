"""Replays a version's warm-up requests before it serves, so that no client pays for the first call."""

import itertools

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from serving.errors import Code, ServingError
from serving.inference import methods as inference
from serving.models.servable import Servable

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
MOST_RECORDS = 1000


def warm_up(servable: Servable, iterations: int = 1) -> int:
    """Replays the requests, if there are any.

    Args:
        servable: The version.
        iterations: How often each.

    Returns:
        How many there are.

    Raises:
        ServingError: There are too many, one cannot be read, or one fails: such a version is not to serve.
    """
    path = servable.path / WARMUP_FILE
    if not path.exists():
        return 0
    count = 0
    try:
        for record in itertools.islice(tf.data.TFRecordDataset(str(path)).as_numpy_iterator(), MOST_RECORDS + 1):
            count += 1
            if count > MOST_RECORDS:
                raise ServingError(
                    Code.INVALID_ARGUMENT, f"Number of warmup records exceeds the maximum ({MOST_RECORDS})"
                )
            log = prediction_log_pb2.PredictionLog.FromString(record)
            for _ in range(iterations):
                _replay(servable, log)
    except (tf.errors.OpError, DecodeError) as error:
        text = f"Failed to read warmup data: {path} ({error}). Please verify the file"
        raise ServingError(Code.DATA_LOSS, text) from error
    return count


def _replay(servable: Servable, log: prediction_log_pb2.PredictionLog) -> None:
    match log.WhichOneof("log_type"):
        case "predict_log":
            inference.predict(servable, log.predict_log.request)
        case "classify_log":
            inference.classify(servable, log.classify_log.request)
        case "regress_log":
            inference.regress(servable, log.regress_log.request)
        case "multi_inference_log":
            inference.multi_inference(servable, log.multi_inference_log.request)
        case kind:
            raise ServingError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind}")
