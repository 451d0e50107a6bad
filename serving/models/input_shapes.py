"""Shapes of inputs: columns that may be flat, and which shapes do not fit a signature."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray
from tensorflow.core.framework import tensor_shape_pb2
from tensorflow.core.protobuf import meta_graph_pb2

UNKNOWN = -1


def column_inputs(signature: meta_graph_pb2.SignatureDef) -> list[str]:
    """Returns the names of the inputs whose shape is [N, 1]. Most clients send a number per row, which is [N]."""
    return [name for name, info in signature.inputs.items() if _sizes(info.tensor_shape) == [UNKNOWN, 1]]


def shape_mistakes(signature: meta_graph_pb2.SignatureDef, inputs: Mapping[str, NDArray[Any]]) -> str:
    """Describes the inputs whose shapes do not fit the signature or each other, for the start of an error message.

    TensorFlow itself names only the operation that failed. Shapes are not checked before, because a model may accept
    other shapes than its signature declares.

    Args:
        signature: The signature.
        inputs: Its inputs by name.

    Returns:
        Sentences that end with a space, or an empty string.
    """
    mistakes = []
    rows: dict[str, int] = {}
    for name, info in sorted(signature.inputs.items()):
        found, expected = list(inputs[name].shape), _sizes(info.tensor_shape)
        if expected is not None and not (_fits(found, expected) or (expected == [UNKNOWN, 1] and len(found) == 1)):
            mistakes.append(f"Input {name} has the shape {_text(found)}; expected {_text(expected)}.")
        elif found and expected and expected[0] == UNKNOWN:
            rows[name] = found[0]
    if len(set(rows.values())) > 1:
        sizes = ", ".join(f"{name} has {size}" for name, size in rows.items())
        mistakes.append(f"Inputs differ in their number of rows: {sizes}.")
    return "".join(f"{mistake} " for mistake in mistakes)


def _sizes(shape: tensor_shape_pb2.TensorShapeProto) -> list[int] | None:
    return None if shape.unknown_rank else [dimension.size for dimension in shape.dim]


def _fits(found: Sequence[int], expected: Sequence[int]) -> bool:
    return len(found) == len(expected) and all(
        size in (UNKNOWN, actual) for actual, size in zip(found, expected, strict=True)
    )


def _text(shape: Sequence[int]) -> str:
    return f"[{','.join('N' if size == UNKNOWN else str(size) for size in shape)}]"
