"""Joins the Transform graph and the network, each a TFLite model, into one model."""

from collections.abc import Mapping, Sequence
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from custom_components.shared.tflite_file import model_bytes, read_model

SIGNATURE = "serving_default"


def join(first: bytes, second: bytes, inputs: Mapping[str, str], links: Sequence[str], output: str) -> bytes:
    """Joins two models so that the outputs of the first are the inputs of the second.

    Args:
        first: A model with one subgraph.
        second: A model with one or more inputs. Its other subgraphs, such as the body of a loop, are kept.
        inputs: Names of the joined model's inputs, by their names in the first model.
        links: Names of the first model's outputs, in their order. The second model's inputs have the same names.
        output: Name of the second model's only output.

    Returns:
        The joined model, with one signature.
    """
    head, model = read_model(first), read_model(second)
    graph, added = model.subgraphs[0], head.subgraphs[0]
    tensors, buffers, codes = len(graph.tensors), len(model.buffers), len(model.operatorCodes)
    for tensor in added.tensors:
        tensor.buffer += buffers
    for operator in added.operators:
        operator.opcodeIndex += codes
        operator.inputs = [index + tensors if index >= 0 else index for index in operator.inputs]
        operator.outputs = [index + tensors for index in operator.outputs]
    given = {name: index + tensors for name, index in zip(links, added.outputs, strict=True)}
    replaced = {index: given[_name(graph.tensors[index])] for index in graph.inputs}
    for operator in graph.operators:
        operator.inputs = [replaced.get(index, index) for index in operator.inputs]
    taken = {inputs[_name(added.tensors[index])]: index + tensors for index in added.inputs}
    graph.tensors += added.tensors
    graph.operators = [*added.operators, *graph.operators]
    graph.inputs = list(taken.values())
    graph.outputs = [replaced.get(index, index) for index in graph.outputs]
    model.buffers += head.buffers
    model.operatorCodes += head.operatorCodes
    model.signatureDefs = [_signature(taken, {output: graph.outputs[0]})]
    for name, index in (*taken.items(), (output, graph.outputs[0])):
        graph.tensors[index].name = name
    _shrink(model)
    return model_bytes(model)


def _shrink(model: Any) -> None:
    """Removes what the runtime does not read: names of inner tensors, empty records and duplicate buffers."""
    for graph in model.subgraphs:
        visible = {*graph.inputs, *graph.outputs}
        for index, tensor in enumerate(graph.tensors):
            if index not in visible:
                tensor.name = None
            if tensor.quantization is not None and tensor.quantization.scale is None:
                tensor.quantization = None
    used = [*(tensor for graph in model.subgraphs for tensor in graph.tensors), *(model.metadata or [])]
    indices = {b"": 0}  # buffer 0 is empty and means "no constant"
    kept = [model.buffers[0]]
    for entry in used:
        buffer = model.buffers[entry.buffer]
        content = b"" if buffer.data is None else bytes(buffer.data)
        if content not in indices:
            indices[content] = len(kept)
            kept.append(buffer)
        entry.buffer = indices[content]
    model.buffers = kept


def _signature(inputs: Mapping[str, int], outputs: Mapping[str, int]) -> Any:
    signature = schema.SignatureDefT()
    signature.signatureKey = SIGNATURE
    signature.subgraphIndex = 0
    signature.inputs, signature.outputs = _tensor_maps(inputs), _tensor_maps(outputs)
    return signature


def _tensor_maps(indices: Mapping[str, int]) -> list[Any]:
    maps = []
    for name, index in indices.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        maps.append(entry)
    return maps


def _name(tensor: Any) -> str:
    name: str = tensor.name.decode() if isinstance(tensor.name, bytes) else tensor.name
    return name.partition(":")[0]
