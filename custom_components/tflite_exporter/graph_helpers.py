"""The operators of a TensorFlow graph that TFLite has, and helpers to inspect and copy them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

# Operators that TFLite's converter supports for the dtypes used here. They are copied as they are.
SUPPORTED = frozenset(
    [
        "Abs",
        "AddV2",
        "All",
        "Any",
        "ConcatV2",
        "Cumsum",
        "DivNoNan",
        "ExpandDims",
        "Exp",
        "Fill",
        "Floor",
        "GatherV2",
        "Greater",
        "GreaterEqual",
        "IsFinite",
        "Less",
        "LessEqual",
        "LogicalAnd",
        "LogicalNot",
        "LogicalOr",
        "Maximum",
        "Minimum",
        "Mul",
        "Neg",
        "Pack",
        "RealDiv",
        "Relu",
        "Reshape",
        "Round",
        "SelectV2",
        "Shape",
        "Sign",
        "Sqrt",
        "Square",
        "Squeeze",
        "StridedSlice",
        "Sub",
        "Sum",
        "Tanh",
        "Transpose",
    ]
)
# Operators that are computed in float32 where the graph uses float64, which TFLite lacks. All of them are continuous.
NARROWED = frozenset(["ConcatV2", "Cos", "Log1p", "Mul", "Sin"])
RENAMED = {"reduction_indices": "axis"}  # arguments of operators that have other names in Python


class RewriteError(ValueError):
    """An operator of the Transform graph has no equivalent in TFLite."""


def copy_operator(op: tf.Operation, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
    """Adds the same operator with other inputs to the current graph."""
    definition = op.op_def
    pending = list(inputs)
    arguments: dict[str, Any] = {}
    inferred = set()
    for argument in definition.input_arg:
        name = RENAMED.get(argument.name, argument.name)
        inferred |= {argument.type_attr, argument.number_attr, argument.type_list_attr}
        if argument.number_attr:
            count = op.get_attr(argument.number_attr)
            arguments[name], pending = pending[:count], pending[count:]
        else:
            arguments[name] = pending.pop(0)
    attributes = {each.name: op.get_attr(each.name) for each in definition.attr if each.name not in inferred}
    return getattr(tf.raw_ops, op.type)(**arguments, **attributes)


def constant_value(tensor: tf.Tensor) -> np.ndarray | None:
    """The value of a tensor that is constant, or ``None``."""
    value: np.ndarray | None = tf.get_static_value(skip_identities(tensor))
    return value


def skip_identities(tensor: tf.Tensor) -> tf.Tensor:
    """Follows a tensor back through operators that do not change it."""
    while tensor.op.type in ("Identity", "PlaceholderWithDefault"):
        tensor = tensor.op.inputs[0]
    return tensor


def as_float32(tensor: tf.Tensor) -> tf.Tensor:
    """Casts a number to float32. An int32, such as a shape, is returned as is."""
    return tensor if tensor.dtype == tf.int32 else tf.cast(tensor, tf.float32)
