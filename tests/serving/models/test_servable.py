from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from serving.models.batching import Batching
from serving.models.servable import Servable


@pytest.mark.parametrize("batching", [None, Batching(batch_timeout_micros=0)])
def test_output_may_be_an_input(tmp_path: Path, batching: Batching | None) -> None:
    """TensorFlow 1 models return the keys of their rows like this."""
    path = tmp_path / "model"
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x, key = (tf.compat.v1.placeholder(dtype, [None]) for dtype in (tf.float32, tf.string))
        tf.compat.v1.saved_model.simple_save(session, str(path), {"x": x, "key": key}, {"y": 2.0 * x, "key": key})
    servable = Servable("model", 1, path, batching)
    inputs = {"x": np.array([1, 2], np.float32), "key": np.array([b"a", b"b"], object)}
    outputs = servable.run("serving_default", inputs, ["key", "y"])
    assert {name: array.tolist() for name, array in outputs.items()} == {"key": [b"a", b"b"], "y": [2.0, 4.0]}
    signature = servable.signatures["serving_default"]
    assert signature.outputs["key"].name == signature.inputs["key"].name, "the metadata is the file's"
