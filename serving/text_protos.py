"""Reads text-format protocol buffers, and defines the messages that TensorFlow Serving's API package lacks."""

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from google.protobuf.message import Message

from common.small_files import read_small_text
from serving.errors import Code, ServingError, invalid_argument

_FIELD = descriptor_pb2.FieldDescriptorProto
# By message: name, number, type, type name and whether repeated, as in TensorFlow Serving's sources.
_FIELDS: dict[str, list[tuple[str, int, int, str, bool]]] = {
    "BatchingParameters": [
        ("max_batch_size", 1, _FIELD.TYPE_MESSAGE, ".google.protobuf.Int64Value", False),
        ("batch_timeout_micros", 2, _FIELD.TYPE_MESSAGE, ".google.protobuf.Int64Value", False),
        ("max_enqueued_batches", 3, _FIELD.TYPE_MESSAGE, ".google.protobuf.Int64Value", False),
        ("num_batch_threads", 4, _FIELD.TYPE_MESSAGE, ".google.protobuf.Int64Value", False),
        ("thread_pool_name", 5, _FIELD.TYPE_MESSAGE, ".google.protobuf.StringValue", False),
        ("allowed_batch_sizes", 6, _FIELD.TYPE_INT64, "", True),
        ("pad_variable_length_inputs", 7, _FIELD.TYPE_BOOL, "", False),
        ("enable_large_batch_splitting", 8, _FIELD.TYPE_MESSAGE, ".google.protobuf.BoolValue", False),
        ("max_execution_batch_size", 9, _FIELD.TYPE_MESSAGE, ".google.protobuf.Int64Value", False),
    ],
    "PrometheusConfig": [("enable", 1, _FIELD.TYPE_BOOL, "", False), ("path", 2, _FIELD.TYPE_STRING, "", False)],
    "MonitoringConfig": [("prometheus_config", 1, _FIELD.TYPE_MESSAGE, ".tensorflow.serving.PrometheusConfig", False)],
    "SSLConfig": [
        ("server_key", 1, _FIELD.TYPE_STRING, "", False),
        ("server_cert", 2, _FIELD.TYPE_STRING, "", False),
        ("custom_ca", 3, _FIELD.TYPE_STRING, "", False),
        ("client_verify", 4, _FIELD.TYPE_BOOL, "", False),
    ],
}


def read_text_proto(path: Path, message: Any) -> Any:
    """Reads a text-format file into a message and returns it.

    Raises:
        ServingError: The file cannot be read or parsed.
    """
    try:
        return text_format.Parse(read_small_text(path), message)
    except (OSError, UnicodeDecodeError) as error:
        raise ServingError(Code.NOT_FOUND, f"{path}: {error}") from error
    except text_format.ParseError as error:
        text = f"Error parsing text-format {message.DESCRIPTOR.full_name}: {path}:{error}"
        raise invalid_argument(text) from error


def _message_classes(*names: str) -> list[type[Message]]:
    file = descriptor_pb2.FileDescriptorProto(
        name="onegraph/serving.proto", package="tensorflow.serving", syntax="proto3"
    )
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind, type_name, repeated in fields:
            label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            message.field.add(name=field, number=number, type=kind, type_name=type_name or None, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    types = [pool.FindMessageTypeByName(f"tensorflow.serving.{name}") for name in names]
    return [message_factory.GetMessageClass(each) for each in types]


BatchingParameters, MonitoringConfig, SSLConfig = _message_classes(
    "BatchingParameters", "MonitoringConfig", "SSLConfig"
)
