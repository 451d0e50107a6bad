"""A minimal FastAPI server to compare with: it calls the model once per request."""

import os
from typing import Any

import numpy as np
import tensorflow as tf
from fastapi import FastAPI
from pydantic import BaseModel

tf.config.threading.set_intra_op_parallelism_threads(1)  # like the server it is compared with
app = FastAPI()
predict = tf.saved_model.load(os.environ["MODEL"]).signatures["serve_raw"]
dtypes = {name: spec.dtype for name, spec in predict.structured_input_signature[1].items()}


class Request(BaseModel):
    """Columns of raw values by feature."""

    inputs: dict[str, list[list[Any]]]


@app.post("/predict")
def handle(request: Request) -> dict[str, Any]:
    """Returns the outputs for the rows. FastAPI runs this in a thread pool, so the event loop is not blocked."""
    inputs = {name: tf.constant(values, dtypes[name]) for name, values in request.inputs.items()}
    outputs = predict(**inputs)
    return {"outputs": {name: _plain(value.numpy()) for name, value in outputs.items()}}


def _plain(array: np.ndarray[Any, Any]) -> Any:
    return array.astype(str).tolist() if array.dtype == object else array.tolist()
