"""Loads a SavedModel as a server does and answers its warm-up requests; run in a process of its own.

    python -m custom_components.skew_guard.probe MODEL_DIR

Prints one line of JSON: seconds to load, seconds to the first answer, number of answers, and the most memory taken. It
imports no more of TensorFlow than a server has.
"""

import json
import resource
import sys
import time
from pathlib import Path

from common.deferred_imports import deferring
from common.error_reason import reason
from custom_components.skew_guard.server import WARMUP_FILE

with deferring():  # spares a third of the time that these take
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2


def main(model_dir: str) -> None:
    """Loads, answers and prints."""
    start = time.monotonic()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], model_dir)
        loaded = time.monotonic()
        first, answers = 0.0, 0
        for record in tf.compat.v1.io.tf_record_iterator(str(Path(model_dir) / WARMUP_FILE)):
            log = prediction_log_pb2.PredictionLog.FromString(record)
            request = getattr(log, log.WhichOneof("log_type")).request
            signature = meta_graph.signature_def[request.model_spec.signature_name]
            feeds = {signature.inputs[key].name: value for key, value in _inputs(request).items()}
            session.run({key: output.name for key, output in signature.outputs.items()}, feeds)
            first = first or time.monotonic() - loaded
            answers += 1
    measured = {
        "load_seconds": loaded - start,
        "first_answer_seconds": first,
        "answers": answers,
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }
    sys.stdout.write(json.dumps(measured))


def _inputs(request: object) -> dict[str, object]:
    if hasattr(request, "inputs"):
        return {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
    examples = request.input.example_list.examples  # type: ignore[attr-defined]
    return {"inputs": [example.SerializeToString() for example in examples]}


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (tf.errors.OpError, OSError, ValueError, TypeError) as error:
        sys.exit(reason(error))
