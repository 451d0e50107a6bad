"""The server that one writes in an afternoon: FastAPI, and a call of the model for each request."""

import os
from typing import Any

import tensorflow as tf
from fastapi import FastAPI
from pydantic import BaseModel

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
    return {
        "outputs": {
            name: tf.strings.unicode_transcode(value, "UTF-8", "UTF-8").numpy().astype(str).tolist()
            if value.dtype == tf.string
            else value.numpy().tolist()
            for name, value in outputs.items()
        }
    }
