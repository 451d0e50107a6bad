"""What is served: models, their folders, which versions, their labels; and how requests are merged and counted."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from google.protobuf.message import Message
from tensorflow_serving.config import model_server_config_pb2

from serving.errors import Code, ServingError, invalid
from serving.flags import Flags
from serving.models.batching import Batching

ModelServerConfig: TypeAlias = model_server_config_pb2.ModelServerConfig
ModelConfig: TypeAlias = model_server_config_pb2.ModelConfig
PLATFORM = "tensorflow"
METRICS_PATH = "/monitoring/prometheus/metrics"
_VERSION = re.compile("[0-9]{1,30}")
BATCHING_FILE = "batching_params.pbtxt"
BATCHING_BOUNDS = {
    "max_batch_size": (1, 1 << 20),
    "batch_timeout_micros": (0, 3_600_000_000),
    "max_enqueued_batches": (1, 1 << 20),
    "num_batch_threads": (1, 1024),
    "max_execution_batch_size": (1, 1 << 20),
}


def model_configs(flags: Flags) -> list[ModelConfig]:
    """The models that the flags name.

    Raises:
        ServingError: The file cannot be read, or is wrong.
    """
    if flags.model_config_file:
        return read_models(Path(flags.model_config_file))
    if not flags.model_base_path:
        raise invalid("found neither --model_base_path nor --model_config_file; expected one of them")
    config = ModelConfig(name=flags.model_name, base_path=flags.model_base_path, model_platform=PLATFORM)
    return checked([config])


def read_models(path: Path) -> list[ModelConfig]:
    """Reads and checks a model config file.

    Raises:
        ServingError: It cannot be read, or is wrong.
    """
    config = _parse(path, ModelServerConfig())
    if config.WhichOneof("config") != "model_config_list":
        raise invalid(f"{path}: expected a model_config_list")
    return checked(list(config.model_config_list.config))


def checked(configs: Sequence[ModelConfig]) -> list[ModelConfig]:
    """The models of a list, if it can be served.

    Raises:
        ServingError: A name that is there twice, a relative folder, or another platform than TensorFlow's.
    """
    names: set[str] = set()
    for config in configs:
        if not config.name:
            raise invalid("Missing name in ModelConfig")
        if config.name in names:
            raise invalid(f"Illegal to list model {config.name} multiple times in config list")
        names.add(config.name)
        if not config.base_path.startswith("/") or "\0" in config.base_path:
            raise invalid(
                f"Expected model {config.name} to have an absolute path or URI; got base_path()={config.base_path}"
            )
        # The older field gives the platform as a number, of which 1 is TensorFlow.
        platform = config.model_platform or {1: PLATFORM}.get(config.model_type, "")
        if platform != PLATFORM:
            raise invalid(f"Invalid platform '{platform}' for model {config.name}; expected '{PLATFORM}'")
    return list(configs)


def wanted_versions(config: ModelConfig, found: Sequence[int]) -> list[int]:
    """The versions of a folder that the model's policy asks for, the newest first."""
    policy = config.model_version_policy
    newest = sorted(found, reverse=True)
    match policy.WhichOneof("policy_choice"):
        case "all":
            return newest
        case "specific":
            return [version for version in newest if version in set(policy.specific.versions)]
        case _:
            return newest[: policy.latest.num_versions or 1]


def versions_in(folder: Path) -> dict[int, Path]:
    """The sub-folders whose names are whole numbers of 64 bits.

    Raises:
        OSError: One cannot look into it, or it is not there, which is not to be taken for a folder without versions.
    """
    entries = [entry for entry in folder.iterdir() if _VERSION.fullmatch(entry.name)]
    return {int(entry.name): entry for entry in entries if int(entry.name) < 1 << 63 and entry.is_dir()}


def batching_of(flags: Flags) -> Batching | None:
    """How requests of all models are merged; ``None`` merges none.

    Raises:
        ServingError: The file cannot be read, or is given without ``--enable_batching``.
    """
    if not flags.enable_batching:
        if flags.batching_parameters_file:
            raise invalid("--batching_parameters_file supplied without --enable_batching")
        return None
    if not flags.batching_parameters_file:
        return Batching()
    return read_batching(Path(flags.batching_parameters_file))


def read_batching(path: Path) -> Batching:
    """Reads a file of ``BatchingParameters``.

    Raises:
        ServingError: It cannot be read, or its sizes do not fit together.
    """
    message = _parse(path, _BATCHING())
    values: dict[str, Any] = {}
    for field in (
        *("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads"),
        "max_execution_batch_size",
    ):
        if message.HasField(field):
            values[field] = getattr(message, field).value
    for field, (smallest, largest) in BATCHING_BOUNDS.items():
        if not smallest <= values.get(field, smallest) <= largest:
            raise invalid(f"{path}: found {field} {values[field]}; expected {smallest} to {largest}")
    sizes = tuple(message.allowed_batch_sizes)
    splitting = message.enable_large_batch_splitting.value
    batching = Batching(
        **values,
        allowed_batch_sizes=sizes,
        enable_large_batch_splitting=splitting,
        pad_variable_length_inputs=message.pad_variable_length_inputs,
    )
    last = (splitting and batching.max_execution_batch_size) or batching.max_batch_size
    if sizes and (list(sizes) != sorted(set(sizes)) or sizes[0] < 1 or sizes[-1] != last):
        name = "max_batch_size" if last == batching.max_batch_size else "max_execution_batch_size"
        raise invalid(
            f"{path}: found allowed_batch_sizes {list(sizes)}; expected them to grow, and to end with {name} {last}"
        )
    return batching


def version_batching(path: Path, common: Batching) -> Batching | None:
    """How requests of a version are merged that has parameters of its own; ``None`` if it has none.

    Args:
        path: The version's folder.
        common: Those of the server, of which only the threads hold for such a version.

    Raises:
        ServingError: The file cannot be read, or its sizes do not fit together.
    """
    file = path / BATCHING_FILE
    if not file.exists():
        return None
    return dataclasses.replace(read_batching(file), num_batch_threads=common.num_batch_threads)


def metrics_path(flags: Flags) -> str | None:
    """Where metrics are told on the REST port; ``None`` is nowhere.

    Raises:
        ServingError: The file cannot be read, or its path is none that a client could ask for.
    """
    if not flags.monitoring_config_file:
        return None
    file = Path(flags.monitoring_config_file)
    config = _parse(file, _MONITORING()).prometheus_config
    path = str(config.path or METRICS_PATH)
    if not path.startswith("/"):
        raise invalid(f"{file}: found the path '{path}'; expected one that begins with /")
    return path if config.enable else None


def _parse(path: Path, message: Any) -> Any:
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), message)
    except (OSError, UnicodeDecodeError) as error:
        raise ServingError(Code.NOT_FOUND, f"{path}: {error}") from error
    except text_format.ParseError as error:
        raise invalid(f"Error parsing text-format {message.DESCRIPTOR.full_name}: {path}:{error}") from error


# The package of TensorFlow Serving's API leaves these two out; names and numbers are those of its sources.
def _messages() -> tuple[type[Message], type[Message]]:
    file = descriptor_pb2.FileDescriptorProto(
        name="onegraph/serving.proto", package="tensorflow.serving", syntax="proto3"
    )
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    kinds = descriptor_pb2.FieldDescriptorProto
    fields: dict[str, list[tuple[str, int, int, str, bool]]] = {
        "BatchingParameters": [
            ("max_batch_size", 1, kinds.TYPE_MESSAGE, ".google.protobuf.Int64Value", False),
            ("batch_timeout_micros", 2, kinds.TYPE_MESSAGE, ".google.protobuf.Int64Value", False),
            ("max_enqueued_batches", 3, kinds.TYPE_MESSAGE, ".google.protobuf.Int64Value", False),
            ("num_batch_threads", 4, kinds.TYPE_MESSAGE, ".google.protobuf.Int64Value", False),
            ("thread_pool_name", 5, kinds.TYPE_MESSAGE, ".google.protobuf.StringValue", False),
            ("allowed_batch_sizes", 6, kinds.TYPE_INT64, "", True),
            ("pad_variable_length_inputs", 7, kinds.TYPE_BOOL, "", False),
            ("enable_large_batch_splitting", 8, kinds.TYPE_MESSAGE, ".google.protobuf.BoolValue", False),
            ("max_execution_batch_size", 9, kinds.TYPE_MESSAGE, ".google.protobuf.Int64Value", False),
        ],
        "PrometheusConfig": [("enable", 1, kinds.TYPE_BOOL, "", False), ("path", 2, kinds.TYPE_STRING, "", False)],
        "MonitoringConfig": [
            ("prometheus_config", 1, kinds.TYPE_MESSAGE, ".tensorflow.serving.PrometheusConfig", False)
        ],
    }
    for name, declared in fields.items():
        message = file.message_type.add(name=name)
        for field, number, kind, type_name, repeated in declared:
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            message.field.add(name=field, number=number, type=kind, type_name=type_name or None, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    batching, monitoring = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.serving.{name}"))
        for name in ("BatchingParameters", "MonitoringConfig")
    )
    return batching, monitoring


_BATCHING, _MONITORING = _messages()
