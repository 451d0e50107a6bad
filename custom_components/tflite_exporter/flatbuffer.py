"""Reads and writes TFLite's file format (a flatbuffer; schema: tensorflow/compiler/mlir/lite/schema/schema.fbs)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

FILE_IDENTIFIER = b"TFL3"
SIGNATURE = "serving_default"
ALIGNMENT = 16


def join(first: bytes, second: bytes, links: Sequence[str], output: str) -> bytes:
    """Makes one model of two, of which the second takes what the first gives.

    Args:
        first: A model of one subgraph.
        second: A model of one input and more; its further subgraphs, such as the body of a loop, are kept.
        links: Names of the first one's outputs, in their order; the second one's inputs are found by these.
        output: Name of the second one's only output.

    Returns:
        The joined model, with one signature whose inputs are named as those of the first.
    """
    head, model = _read(first), _read(second)
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
    inputs = {_name(added.tensors[index]): index + tensors for index in added.inputs}
    graph.tensors += added.tensors
    graph.operators = [*added.operators, *graph.operators]
    graph.inputs = list(inputs.values())
    graph.outputs = [replaced.get(index, index) for index in graph.outputs]
    model.buffers += head.buffers
    model.operatorCodes += head.operatorCodes
    model.signatureDefs = [_signature(inputs, {output: graph.outputs[0]})]
    for name, index in {**inputs, output: graph.outputs[0]}.items():
        graph.tensors[index].name = name
    _shrink(model)
    return _written(model)


def with_metadata(content: bytes, name: str, value: Mapping[str, Any]) -> bytes:
    """A model with an entry of metadata, as JSON; one of the same name is replaced."""
    model = _read(content)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(json.dumps(value, ensure_ascii=False).encode())
    entry.name = name
    for earlier in model.metadata or ():
        if earlier.name.decode() == name:
            model.buffers[earlier.buffer] = buffer
            return _written(model)
    model.buffers.append(buffer)
    entry.buffer = len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    return _written(model)


def operators(content: bytes) -> list[str]:
    """Names of all operators that a model runs; a custom one has a ``Custom`` or ``Flex`` in front."""
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    found = set()
    for code in _read(content).operatorCodes:
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        custom = code.customCode.decode() if code.customCode else ""
        found.add(f"Custom {custom}" if names[builtin] == "CUSTOM" else names[builtin])
    return sorted(found)


def _shrink(model: Any) -> None:
    """Takes out what a runtime does not read: names of inner tensors, and what is empty or there twice."""
    for graph in model.subgraphs:
        shown = {*graph.inputs, *graph.outputs}
        for index, tensor in enumerate(graph.tensors):
            if index not in shown:
                tensor.name = None
            if tensor.quantization is not None and tensor.quantization.scale is None:
                tensor.quantization = None
    used = [*(tensor for graph in model.subgraphs for tensor in graph.tensors), *(model.metadata or [])]
    places = {b"": 0}  # the first buffer is empty, and stands for "no constant"
    kept = [model.buffers[0]]
    for entry in used:
        buffer = model.buffers[entry.buffer]
        content = b"" if buffer.data is None else bytes(buffer.data)
        if content not in places:
            places[content] = len(kept)
            kept.append(buffer)
        entry.buffer = places[content]
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


def _read(content: bytes) -> Any:
    return schema.ModelT.InitFromPackedBuf(content)


def _written(model: Any) -> bytes:
    for buffer in model.buffers:
        buffer.__class__ = _AlignedBuffer
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


class _AlignedBuffer(schema.BufferT):
    """A buffer whose content begins where the schema says; the generated code forgets, which only x86 forgives."""

    def Pack(self, builder: flatbuffers.Builder) -> int:
        content = None if self.data is None else bytes(self.data)
        if content is not None:
            builder.StartVector(1, len(content), ALIGNMENT)
            builder.head -= len(content)
            builder.Bytes[builder.head : builder.head + len(content)] = content
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if content is not None:
            schema.BufferAddData(builder, vector)
        return int(schema.BufferEnd(builder))
