"""Loads a SavedModel as a server does and answers its warm-up requests. Runs in a separate process.

    python -m custom_components.skew_guard.server_process MODEL_DIR PARENT_PID

Prints one line of JSON: the time to load, the time to the first answer, the number of answers and the peak memory. It
imports no more of TensorFlow than a server has, and ends with its parent. Its exit code says whether the model is at
fault.
"""

import json
import resource
import sys
import time
from pathlib import Path

from artifacts.names import WARMUP_FILE
from common.child_processes import exit_with_parent
from common.deferred_imports import defer_imports
from common.error_reason import reason

if __name__ == "__main__":
    exit_with_parent(int(sys.argv[2]))  # before the imports, which take seconds

with defer_imports():  # saves a third of the time that these imports take
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    from custom_components.shared.machine_failures import is_machine_failure
    from custom_components.skew_guard.server_check import MODEL_FAILED


def main(model_dir: str) -> None:
    """Loads the model, answers the requests and prints the measurements."""
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
    measurements = {
        "load_seconds": loaded - start,
        "first_answer_seconds": first,
        "answers": answers,
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }
    sys.stdout.write(json.dumps(measurements))


def _inputs(request: object) -> dict[str, object]:
    if hasattr(request, "inputs"):
        return {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
    examples = request.input.example_list.examples  # type: ignore[attr-defined]
    return {"inputs": [example.SerializeToString() for example in examples]}


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except Exception as error:  # a broken model may raise anything
        if is_machine_failure(error):
            raise
        sys.stderr.write(reason(error))
        sys.exit(MODEL_FAILED)
