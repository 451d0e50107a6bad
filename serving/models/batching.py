"""Merges concurrent requests of a signature in TensorFlow's own batching, in C++."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from serving.models.padding import packed, unpacked


@dataclasses.dataclass(frozen=True)
class Batching:
    """How requests are merged; the names are those of TensorFlow Serving's ``BatchingParameters``.

    Attributes:
        max_batch_size: Most rows in a batch.
        batch_timeout_micros: How long a batch waits to become full, in microseconds.
        max_enqueued_batches: Batches that may wait; beyond, requests are refused.
        num_batch_threads: Batches of a signature that run at once; as many as there are CPUs.
        allowed_batch_sizes: A batch is padded to the next of these; empty runs it as it is.
        enable_large_batch_splitting: Whether a request above ``max_execution_batch_size`` is split.
        max_execution_batch_size: Most rows that the model is run over at once; 0 is ``max_batch_size``.
        pad_variable_length_inputs: Whether rows of other sizes are padded to the largest of a batch, each request's
            with its own first value; otherwise rows of other sizes cannot be merged, and fail.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = len(os.sched_getaffinity(0))
    allowed_batch_sizes: tuple[int, ...] = ()
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 0
    pad_variable_length_inputs: bool = False


def batched_signature(
    graph: tf.Graph, signature: meta_graph_pb2.SignatureDef, batching: Batching
) -> tuple[dict[str, str], str]:
    """Adds to a graph a copy of a signature that merges the requests made of it at the same time.

    The copy is a function, so that TensorFlow's ``BatchFunction`` can call it. It finds the variables and tables of the
    model by their names, since these are the session's.

    Args:
        graph: The loaded model's.
        signature: The signature.
        batching: How to merge.

    Returns:
        Names of the tensors that give the outputs, by the outputs' names; and that of the seconds, a float64 scalar,
        which a request waited to be merged.

    Raises:
        ValueError: The signature cannot be made a function, as with variables of TensorFlow 1, or its inputs padded.
    """
    inputs = {name: signature.inputs[name].name for name in sorted(signature.inputs)}
    like = [graph.get_tensor_by_name(name) for name in inputs.values()]
    outputs = {name: signature.outputs[name].name for name in sorted(signature.outputs)}
    definition = tf.compat.v1.graph_util.extract_sub_graph(
        graph.as_graph_def(), [_node(name) for name in outputs.values()]
    )
    if any(node.op in ("Variable", "VariableV2") for node in definition.node):
        raise ValueError("it reads variables of TensorFlow 1")

    def run(*parts: tf.Tensor) -> list[tf.Tensor]:
        begun = tf.timestamp()
        tensors = unpacked(parts, like) if batching.pad_variable_length_inputs else parts
        fed = dict(zip(inputs.values(), tensors, strict=True))
        found: list[tf.Tensor] = tf.import_graph_def(
            definition, input_map=fed, return_elements=list(outputs.values()), name=""
        )
        return [*found, tf.fill([tf.shape(parts[0])[0]], begun)]

    with graph.as_default():
        asked = tf.timestamp()
        *merged, begun = _merging(batching)(run)(*(packed(like) if batching.pad_variable_length_inputs else like))
        waited = tf.reduce_max(begun) - asked
    return {name: tensor.name for name, tensor in zip(outputs, merged, strict=True)}, waited.name


def _merging(batching: Batching) -> Callable[[Callable[..., list[tf.Tensor]]], Callable[..., list[tf.Tensor]]]:
    """TensorFlow's decorator of a function that is called with several requests at once."""
    decorator: Callable[..., Any] = tf.nondifferentiable_batch_function(
        num_batch_threads=batching.num_batch_threads,
        max_batch_size=batching.max_batch_size,
        batch_timeout_micros=batching.batch_timeout_micros,
        allowed_batch_sizes=_sizes(batching),
        max_enqueued_batches=batching.max_enqueued_batches,
        enable_large_batch_splitting=batching.enable_large_batch_splitting,
    )
    return decorator


def _sizes(batching: Batching) -> list[int] | None:
    """The sizes that a batch is padded to; where requests are split, the last one is the most that is run at once."""
    if batching.allowed_batch_sizes or not batching.enable_large_batch_splitting:
        return sorted(batching.allowed_batch_sizes) or None
    return list(range(1, (batching.max_execution_batch_size or batching.max_batch_size) + 1))


def _node(tensor: str) -> str:
    return tensor.partition(":")[0]
