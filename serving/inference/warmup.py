"""Replays a version's warm-up requests before it becomes available, so that the first client request is not slow."""

import itertools

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from artifacts.names import WARMUP_FILE
from serving.errors import Code, ServingError, from_tensorflow
from serving.inference.classify_regress import classify, multi_inference, regress
from serving.inference.predict import predict
from serving.models.servable import LoadedModel

MAX_RECORDS = 1000


def warm_up(servable: LoadedModel, iterations: int = 1) -> int:
    """Replays the warm-up requests of a version, if it has any.

    Args:
        servable: The version.
        iterations: How many times to replay each request.

    Returns:
        The number of requests in the file.

    Raises:
        ServingError: There are too many requests, one cannot be read, or one fails.
    """
    path = servable.path / WARMUP_FILE
    if not path.exists():
        return 0
    count = 0
    try:
        for record in itertools.islice(tf.data.TFRecordDataset(str(path)).as_numpy_iterator(), MAX_RECORDS + 1):
            count += 1
            if count > MAX_RECORDS:
                raise ServingError(
                    Code.INVALID_ARGUMENT, f"Number of warmup records exceeds the maximum ({MAX_RECORDS})"
                )
            log = prediction_log_pb2.PredictionLog.FromString(record)
            for _ in range(iterations):
                _replay(servable, log)
    except (tf.errors.OpError, DecodeError) as error:
        reason = from_tensorflow(error).message if isinstance(error, tf.errors.OpError) else str(error)
        text = f"Failed to read warmup data: {path} ({reason}). Please verify the file"
        raise ServingError(Code.DATA_LOSS, text) from error
    return count


def _replay(servable: LoadedModel, log: prediction_log_pb2.PredictionLog) -> None:
    match log.WhichOneof("log_type"):
        case "predict_log":
            predict(servable, log.predict_log.request)
        case "classify_log":
            classify(servable, log.classify_log.request)
        case "regress_log":
            regress(servable, log.regress_log.request)
        case "multi_inference_log":
            multi_inference(servable, log.multi_inference_log.request)
        case kind:
            raise ServingError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind}")
