"""Merges concurrent requests into batches with TensorFlow's ``BatchFunction`` op."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from serving.models.padding import pack, unpack


@dataclasses.dataclass(frozen=True)
class Batching:
    """Batching parameters, named as in TensorFlow Serving's ``BatchingParameters``.

    Attributes:
        max_batch_size: Maximum number of rows in a batch.
        batch_timeout_micros: How long to wait for a batch to fill up, in microseconds.
        max_enqueued_batches: Maximum number of waiting batches. Requests beyond that are rejected.
        num_batch_threads: Maximum number of concurrent batches per signature. By default, the number of CPUs.
        allowed_batch_sizes: Batches are padded to the next of these sizes. If empty, they are not padded.
        enable_large_batch_splitting: Whether to split requests larger than ``max_execution_batch_size``.
        max_execution_batch_size: Maximum number of rows per run of the model. 0 means ``max_batch_size``.
        pad_variable_length_inputs: Whether to pad rows to the largest row in the batch, with the first value of their
            request. If false, requests whose rows differ in size fail when they are merged.
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
    """Adds a copy of a signature to the graph that merges concurrent requests.

    The copy is a function called by TensorFlow's ``BatchFunction`` op. It shares the variables and tables of the model,
    because it runs in the same session and refers to them by name.

    Args:
        graph: The graph of the loaded model.
        signature: The signature.
        batching: The batching parameters.

    Returns:
        The names of the output tensors, by name of the output, and the name of a float64 scalar tensor: the time in
        seconds that a request spent in the queue.

    Raises:
        ValueError: The signature reads TensorFlow 1 variables, returns a scalar, or its inputs cannot be padded.
    """
    inputs = {name: signature.inputs[name].name for name in sorted(signature.inputs)}
    tensors = [graph.get_tensor_by_name(name) for name in inputs.values()]
    outputs = {name: signature.outputs[name].name for name in sorted(signature.outputs)}
    scalars = [name for name, tensor in outputs.items() if graph.get_tensor_by_name(tensor).shape.rank == 0]
    if scalars:
        raise ValueError(f"its output {scalars[0]} is a scalar, which cannot be split among requests")
    definition = tf.compat.v1.graph_util.extract_sub_graph(
        graph.as_graph_def(), [_node_name(name) for name in outputs.values()]
    )
    if any(node.op in ("Variable", "VariableV2") for node in definition.node):
        raise ValueError("it reads TensorFlow 1 variables")

    def run(*parts: tf.Tensor) -> list[tf.Tensor]:
        started = tf.timestamp()
        batch = unpack(parts, tensors) if batching.pad_variable_length_inputs else parts
        results: list[tf.Tensor] = tf.import_graph_def(
            definition,
            input_map=dict(zip(inputs.values(), batch, strict=True)),
            return_elements=list(outputs.values()),
            name="",
        )
        return [*results, tf.fill([tf.shape(parts[0])[0]], started)]

    with graph.as_default():
        enqueued = tf.timestamp()
        *merged, started = _batch_decorator(batching)(run)(
            *(pack(tensors) if batching.pad_variable_length_inputs else tensors)
        )
        queued_seconds = tf.reduce_max(started) - enqueued
    return {name: tensor.name for name, tensor in zip(outputs, merged, strict=True)}, queued_seconds.name


def _batch_decorator(batching: Batching) -> Callable[[Callable[..., list[tf.Tensor]]], Callable[..., list[tf.Tensor]]]:
    """Returns TensorFlow's decorator that turns a function of one batch into a function of one request."""
    decorator: Callable[..., Any] = tf.nondifferentiable_batch_function(
        num_batch_threads=batching.num_batch_threads,
        max_batch_size=batching.max_batch_size,
        batch_timeout_micros=batching.batch_timeout_micros,
        allowed_batch_sizes=_allowed_sizes(batching),
        max_enqueued_batches=batching.max_enqueued_batches,
        enable_large_batch_splitting=batching.enable_large_batch_splitting,
    )
    return decorator


def _allowed_sizes(batching: Batching) -> list[int] | None:
    """Returns the allowed batch sizes. With splitting, TensorFlow also takes the last one as the maximum size."""
    if batching.allowed_batch_sizes or not batching.enable_large_batch_splitting:
        return sorted(batching.allowed_batch_sizes) or None
    return list(range(1, (batching.max_execution_batch_size or batching.max_batch_size) + 1))


def _node_name(tensor: str) -> str:
    return tensor.partition(":")[0]
