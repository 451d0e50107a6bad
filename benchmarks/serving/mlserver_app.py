"""A minimal MLServer runtime to compare with: it calls the model once per request."""

import os
from typing import Any

import numpy as np
import tensorflow as tf
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Taxi(MLModel):
    """Takes columns of raw values by feature, in the Open Inference Protocol."""

    async def load(self) -> bool:
        """Loads the model."""
        tf.config.threading.set_intra_op_parallelism_threads(1)  # like the server it is compared with
        self.run = tf.saved_model.load(os.environ["MODEL"]).signatures["serve_raw"]
        self.dtypes = {name: spec.dtype for name, spec in self.run.structured_input_signature[1].items()}
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Runs the model."""
        inputs = {
            each.name: tf.constant(np.array(each.data.root).reshape(each.shape), self.dtypes[each.name])
            for each in payload.inputs
        }
        outputs = {name: value.numpy() for name, value in self.run(**inputs).items()}
        return InferenceResponse(
            model_name=self.name, outputs=[_encoded(name, array) for name, array in outputs.items()]
        )


def _encoded(name: str, array: np.ndarray[Any, Any]) -> Any:
    if array.dtype == object:
        return StringCodec.encode_output(name, array.astype(str).ravel().tolist())
    return NumpyCodec.encode_output(name, array)
