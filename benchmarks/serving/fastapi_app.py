"""The server that one writes in an afternoon: FastAPI, and a call of the model for each request."""

import os
from typing import Any

import numpy as np
import tensorflow as tf
from fastapi import FastAPI
from pydantic import BaseModel

tf.config.threading.set_intra_op_parallelism_threads(1)  # as the server that it is held against
app = FastAPI()
predict = tf.saved_model.load(os.environ["MODEL"]).signatures["serve_raw"]
dtypes = {name: spec.dtype for name, spec in predict.structured_input_signature[1].items()}


class Request(BaseModel):
    """Columns by feature."""

    inputs: dict[str, list[list[Any]]]


@app.post("/predict")
def answer(request: Request) -> dict[str, Any]:
    """The outputs for the rows; FastAPI calls this in a thread, so that the model's own threads can work."""
    inputs = {name: tf.constant(values, dtypes[name]) for name, values in request.inputs.items()}
    outputs = predict(**inputs)
    return {"outputs": {name: _plain(value.numpy()) for name, value in outputs.items()}}


def _plain(array: np.ndarray[Any, Any]) -> Any:
    return array.astype(str).tolist() if array.dtype == object else array.tolist()
