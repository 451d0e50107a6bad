"""The command-line flags of ``tensorflow_model_server``, in the form ``--name=value`` or, for booleans, ``--name``."""

import dataclasses
import re
import sys
from collections.abc import Sequence
from typing import get_type_hints

BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclasses.dataclass(frozen=True)
class Flags:
    """Server options with the names and defaults of ``tensorflow_model_server``, plus three of our own.

    Attributes:
        port: gRPC port. 0 turns gRPC off.
        rest_api_port: REST port. 0 turns REST off.
        address: Address that both ports listen on. Our own flag: ``tensorflow_model_server`` listens on all interfaces.
        rest_api_timeout_in_ms: Time after which a REST request fails with status 504, in milliseconds.
        rest_api_enable_cors_support: Whether to send CORS headers.
        rest_api_max_body_bytes: Maximum size of a decompressed REST body, in bytes. Our own flag.
        grpc_socket_path: Path of a Unix socket to serve gRPC on, in addition to the port.
        grpc_channel_arguments: gRPC channel arguments, as comma-separated ``key=value`` pairs.
        grpc_max_threads: Maximum number of concurrent requests per model, for gRPC and REST each.
        enable_grpc_healthcheck_service: Whether to offer gRPC's health-checking service.
        model_name: Name of the model, if there is only one.
        model_base_path: Folder with the model's numbered versions.
        model_config_file: Text file with a ``ModelServerConfig``, to serve several models.
        model_config_file_poll_wait_seconds: Interval for reading that file again. 0 means never.
        file_system_poll_wait_seconds: Interval for finding new versions. 0 means once.
        max_num_load_retries: How many times to retry loading a version.
        load_retry_interval_micros: Delay before each retry, in microseconds.
        allow_version_labels_for_unavailable_models: Whether labels may be assigned to versions not yet loaded.
        enable_model_warmup: Whether to replay a version's warm-up requests before it becomes available.
        num_request_iterations_for_warmup: How many times to replay each warm-up request.
        enable_batching: Whether to merge concurrent requests into batches.
        batching_parameters_file: Text file with ``BatchingParameters``.
        gather_python_threads: Whether Python's threads share one CPU while batching is on. Our own flag.
        enable_per_model_batching_parameters: Whether to use ``batching_params.pbtxt`` of a version instead.
        saved_model_tags: Tags of the graph to load from a SavedModel, separated by commas.
        prefer_tflite_model: Whether to load ``model.tflite`` from a version's folder, if any, without batching.
        enable_signature_method_name_check: Whether Predict, Classify and Regress check the signature's method name.
        enable_serialization_as_tensor_content: Whether gRPC's Predict responds in ``tensor_content``, not typed fields.
        tensorflow_session_parallelism: Default size of the two thread pools below. 0 lets TensorFlow choose.
        tensorflow_intra_op_parallelism: Threads per operation. 1 suits small models with many clients.
        tensorflow_inter_op_parallelism: Threads that run independent operations.
        monitoring_config_file: Text file with a ``MonitoringConfig``, for metrics.
        ssl_config_file: Not supported.
        version: Print the version and exit.
    """

    port: int = 8500
    rest_api_port: int = 0
    address: str = "0.0.0.0"  # noqa: S104 - as the original does
    rest_api_timeout_in_ms: int = 30_000
    rest_api_enable_cors_support: bool = False
    rest_api_max_body_bytes: int = 64 << 20
    grpc_socket_path: str = ""
    grpc_channel_arguments: str = ""
    grpc_max_threads: int = 64
    enable_grpc_healthcheck_service: bool = False
    model_name: str = "default"
    model_base_path: str = ""
    model_config_file: str = ""
    model_config_file_poll_wait_seconds: int = 0
    file_system_poll_wait_seconds: int = 1
    max_num_load_retries: int = 5
    load_retry_interval_micros: int = 60_000_000
    allow_version_labels_for_unavailable_models: bool = False
    enable_model_warmup: bool = True
    num_request_iterations_for_warmup: int = 1
    enable_batching: bool = False
    batching_parameters_file: str = ""
    gather_python_threads: bool = True
    enable_per_model_batching_parameters: bool = False
    saved_model_tags: str = "serve"
    prefer_tflite_model: bool = False
    enable_signature_method_name_check: bool = False
    enable_serialization_as_tensor_content: bool = False
    tensorflow_session_parallelism: int = 0
    tensorflow_intra_op_parallelism: int = 0
    tensorflow_inter_op_parallelism: int = 0
    monitoring_config_file: str = ""
    ssl_config_file: str = ""
    version: bool = False


_TYPES = get_type_hints(Flags)
HELP = "--help"
PORTS, THREADS = (0, 65_535), (0, 4096)
# Minimum and maximum by flag. Integer flags not listed here range from 0 to 10^15.
BOUNDS = {
    "port": PORTS,
    "rest_api_port": PORTS,
    "rest_api_timeout_in_ms": (1, 10**9),
    "rest_api_max_body_bytes": (1, 1 << 40),
    "grpc_max_threads": (1, 4096),
    "model_config_file_poll_wait_seconds": (0, 10**6),
    "file_system_poll_wait_seconds": (0, 10**6),
    "max_num_load_retries": (0, 10**6),
    "num_request_iterations_for_warmup": (1, 10**6),
    "tensorflow_session_parallelism": THREADS,
    "tensorflow_intra_op_parallelism": THREADS,
    "tensorflow_inter_op_parallelism": THREADS,
}


def parse(arguments: Sequence[str]) -> Flags:
    """Parses the flags. Unknown ones are reported on stderr and ignored, as ``tensorflow_model_server`` does.

    Raises:
        ValueError: A value has the wrong type or is out of range.
    """
    values: dict[str, object] = {}
    for argument in arguments:
        name, equals, text = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or name not in _TYPES or not (equals or _TYPES[name] is bool):
            print(f"unknown argument: {argument}", file=sys.stderr)
            continue
        values[name] = _value(name, text if equals else "true")
    return Flags(**values)  # type: ignore[arg-type]


def usage() -> str:
    """Returns the help text: a line per flag with its default, from the docstring of :class:`Flags`."""
    descriptions = dict(re.findall(r"^ {8}(\w+): (.+)$", Flags.__doc__ or "", re.MULTILINE))
    lines = ["usage: python -m serving [--name=value ...]", "", "Flags:"]
    for field in dataclasses.fields(Flags):
        default = str(field.default).lower() if isinstance(field.default, bool) else repr(field.default)
        lines.append(f"  --{field.name}={default}")
        lines.append(f"      {descriptions[field.name].replace('``', '')}")
    return "\n".join(lines)


def _value(name: str, text: str) -> object:
    if _TYPES[name] is bool:
        if text not in BOOLEANS:
            raise ValueError(f"--{name}: found '{text}'; expected true or false")
        return BOOLEANS[text]
    if _TYPES[name] is int:
        minimum, maximum = BOUNDS.get(name, (0, 10**15))
        if not re.fullmatch(r"-?[0-9]{1,20}", text, re.ASCII) or not minimum <= int(text) <= maximum:
            raise ValueError(f"--{name}: found '{text[:40]}'; expected an integer from {minimum} to {maximum}")
        return int(text)
    return text
