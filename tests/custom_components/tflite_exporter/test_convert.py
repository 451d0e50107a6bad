from pathlib import Path

import pytest
import tensorflow as tf
import tf_keras as keras
from small_table import ON_DEVICES, small_table, write_raw

from common.error_reason import reason
from custom_components.shared.tflite_file import with_metadata
from custom_components.tflite_exporter.comparison import compare
from custom_components.tflite_exporter.convert import convert, convert_function
from custom_components.tflite_exporter.graph_helpers import RewriteError
from custom_components.tflite_exporter.transform_rewriter import TransformRewriter
from models.network import feature_inputs
from models.signatures import export
from serving.edge import METADATA

PROBLEM = ON_DEVICES["binary"]


def test_a_network_with_an_operator_that_tflite_lacks_is_refused_by_name(tmp_path: Path) -> None:
    inputs = feature_inputs(PROBLEM.features)
    numbers = keras.layers.Concatenate()([each for each in inputs.values() if each.dtype == tf.float32])
    unknown = keras.layers.Lambda(tf.math.bessel_i0e)(numbers)
    network = keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(unknown))
    export(network, small_table().graph, PROBLEM, str(tmp_path / "model"))
    with pytest.raises(RewriteError) as caught:
        convert(TransformRewriter(small_table().graph, PROBLEM), str(tmp_path / "model"), "none", lambda: iter(()))
    assert str(caught.value) == (
        "the network cannot be converted with TFLite's builtin operators: BesselI0e; change it, or set "
        "tflite.enabled to false"
    )
    assert reason(caught.value) == str(caught.value)


@pytest.mark.slow
def test_a_recurrent_layer_and_an_output_that_is_an_input_are_converted(tmp_path: Path) -> None:
    inputs = feature_inputs(PROBLEM.features)
    numbers = keras.layers.Concatenate()([inputs["gain_dense"], inputs["age_dense"]])
    recurrent = keras.layers.Dense(1, "sigmoid")(keras.layers.LSTM(3)(keras.layers.Reshape((-1, 1))(numbers)))
    rewriter = TransformRewriter(small_table().graph, PROBLEM)
    for name, output in (("recurrent", recurrent), ("identity", inputs["gain_dense"])):
        export(keras.Model(inputs, output), small_table().graph, PROBLEM, str(tmp_path / name))
        content = convert(rewriter, str(tmp_path / name), "none", lambda: iter(()))
        files = write_raw(tmp_path / "rows.gz", small_table().rows[:20])
        described = with_metadata(content, METADATA, {"features": rewriter.features})
        assert compare(described, str(tmp_path / name), files, PROBLEM, 20).max_abs_diff <= 1e-5


def test_an_error_of_the_converter_is_reported_in_one_line() -> None:
    def without_representative_rows(converter: tf.lite.TFLiteConverter) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]

    function = tf.function(tf.identity).get_concrete_function(tf.TensorSpec([1], tf.float32))
    with pytest.raises(RewriteError) as caught:
        convert_function(function, "the graph", without_representative_rows)
    assert str(caught.value).startswith("the graph cannot be converted with TFLite's builtin operators: ")
    assert "representative_dataset" in str(caught.value)
    assert "\n" not in str(caught.value)
