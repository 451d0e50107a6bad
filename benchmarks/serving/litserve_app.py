"""A minimal LitServe server to compare with: it calls the model once per request."""

import os
from typing import Any

import litserve
import numpy as np
import tensorflow as tf


class Taxi(litserve.LitAPI):
    """Takes columns of raw values by feature."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe passes it
        """Loads the model."""
        tf.config.threading.set_intra_op_parallelism_threads(1)  # like the server it is compared with
        self.run = tf.saved_model.load(os.environ["MODEL"]).signatures["serve_raw"]
        self.dtypes = {name: spec.dtype for name, spec in self.run.structured_input_signature[1].items()}

    def decode_request(self, request: dict[str, Any]) -> dict[str, tf.Tensor]:
        """Returns the columns as tensors."""
        return {name: tf.constant(values, self.dtypes[name]) for name, values in request["inputs"].items()}

    def predict(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Runs the model."""
        return dict(self.run(**inputs))

    def encode_response(self, outputs: dict[str, tf.Tensor]) -> dict[str, Any]:
        """Returns the outputs as lists."""
        return {"outputs": {name: _plain(value.numpy()) for name, value in outputs.items()}}


def _plain(array: np.ndarray[Any, Any]) -> Any:
    return array.astype(str).tolist() if array.dtype == object else array.tolist()


if __name__ == "__main__":
    server = litserve.LitServer(Taxi(), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False, log_level="warning")
