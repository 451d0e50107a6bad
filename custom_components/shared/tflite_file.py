"""TFLite's file format, a flatbuffer. Its schema is tensorflow/compiler/mlir/lite/schema/schema.fbs."""

import json
from collections.abc import Mapping
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

FILE_IDENTIFIER = b"TFL3"
ALIGNMENT = 16


def read_model(content: bytes) -> Any:
    """Parses a TFLite file into a ``schema.ModelT``."""
    return schema.ModelT.InitFromPackedBuf(content)


def model_bytes(model: Any) -> bytes:
    """Serializes a ``schema.ModelT`` as a TFLite file."""
    for buffer in model.buffers:
        buffer.__class__ = _AlignedBuffer
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


def with_metadata(content: bytes, name: str, value: Mapping[str, Any]) -> bytes:
    """Returns a model with a metadata entry, as JSON. An entry of the same name is replaced."""
    model = read_model(content)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(json.dumps(value, ensure_ascii=False).encode())
    entry.name = name
    for earlier in model.metadata or ():
        if earlier.name.decode() == name:
            model.buffers[earlier.buffer] = buffer
            return model_bytes(model)
    model.buffers.append(buffer)
    entry.buffer = len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    return model_bytes(model)


def operator_names(content: bytes) -> list[str]:
    """Names of all operators in a model, sorted. The name of a custom operator starts with ``Custom``."""
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    found = set()
    for code in read_model(content).operatorCodes:
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        custom = code.customCode.decode() if code.customCode else ""
        found.add(f"Custom {custom}" if names[builtin] == "CUSTOM" else names[builtin])
    return sorted(found)


class _AlignedBuffer(schema.BufferT):
    """A buffer whose content is aligned as the schema demands. The generated code leaves it unaligned.

    Only x86 accepts unaligned buffers.
    """

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
