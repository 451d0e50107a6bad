"""Converts the rewritten Transform graph and the network to one TFLite model."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias

import numpy as np
import tensorflow as tf
from absl import logging

from custom_components.shared.machine_failures import is_machine_failure
from custom_components.tflite_exporter.graph_helpers import RewriteError
from custom_components.tflite_exporter.join import join
from custom_components.tflite_exporter.transform_rewriter import TransformRewriter
from serving.edge import PREDICTIONS

Quantization = Literal["none", "dynamic_range", "float16", "int8"]
Row: TypeAlias = dict[str, np.ndarray[Any, Any]]


def convert(
    rewriter: TransformRewriter,
    model_dir: str,
    quantization: Quantization,
    representative: Callable[[], Iterator[Row]],
) -> bytes:
    """Converts the model with TFLite's builtin operators only.

    The two parts are converted separately and then joined, so that only the network is quantized. A bucket boundary
    or a scale rounded to 8 bits would change the features.

    Args:
        rewriter: The Transform graph.
        model_dir: The exported SavedModel, for its network.
        quantization: ``none``, ``dynamic_range`` (8-bit weights), ``float16`` (weights) or ``int8`` (weights and
            activations).
        representative: Yields transformed rows, dicts of features [1, width], that calibrate the activations. Called
            only for ``int8``.

    Returns:
        The TFLite model, with one signature from raw features to ``predictions``.

    Raises:
        RewriteError: A part needs an operator that TFLite does not have.
    """
    transform = rewriter.concrete_function()
    model = tf.saved_model.load(model_dir)
    [traced] = model.network_of_one.concrete_functions
    [[taken], _] = traced.structured_input_signature
    specs = {name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in sorted(taken.items())}

    @tf.function(autograph=False)
    def network(**features: tf.Tensor) -> tf.Tensor:
        return model.network_of_one(features)

    def rows() -> Iterator[list[np.ndarray[Any, Any]]]:
        for row in representative():
            yield [row[name] for name in specs]

    def quantize(converter: tf.lite.TFLiteConverter) -> None:
        if quantization != "none":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantization == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if quantization == "int8":
            converter.representative_dataset = rows
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]

    return join(
        convert_function(transform, "the Transform graph"),
        convert_function(network.get_concrete_function(**specs), "the network", quantize),
        inputs=rewriter.input_names,
        links=sorted(transform.structured_outputs),
        output=PREDICTIONS,
    )


def convert_function(
    function: tf.types.experimental.ConcreteFunction, name: str, configure: Callable[[Any], None] | None = None
) -> bytes:
    """Converts a function to a TFLite model.

    Args:
        function: The function. The model has the same inputs, and the outputs sorted by name.
        name: How error messages refer to the function, such as ``the network``.
        configure: Configures the ``tf.lite.TFLiteConverter``.

    Raises:
        RewriteError: The function needs an operator that TFLite does not have.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if configure:
        configure(converter)
    try:
        model: bytes = converter.convert()
    except Exception as error:  # the converter's own error type is private
        if is_machine_failure(error):
            raise
        logging.exception("Converting %s failed.", name)
        missing = sorted(set(re.findall(r"'tf\.(\w+)' op (?:is neither|requires)", str(error))))
        found = ", ".join(missing) or (str(error).strip().splitlines() or [repr(error)])[0]
        raise RewriteError(
            f"{name} cannot be converted with TFLite's builtin operators: {found}; change it, or set tflite.enabled "
            "to false"
        ) from None
    return model
