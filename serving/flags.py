"""The flags of ``tensorflow_model_server``: ``--name=value``, a bare ``--name`` for a bool, and no other form."""

import dataclasses
import re
import sys
from collections.abc import Sequence
from typing import get_type_hints

BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclasses.dataclass(frozen=True)
class Flags:
    """What the server is told; names and defaults are ``tensorflow_model_server``'s.

    Attributes:
        port: gRPC; 0 is off.
        rest_api_port: REST; 0 is off.
        address: Where both listen; not a flag of the original, which listens everywhere.
        rest_api_timeout_in_ms: After which a REST request is answered with 504.
        rest_api_enable_cors_support: Whether browsers of other origins may ask.
        rest_api_max_body_bytes: Largest REST body, unpacked; not a flag of the original, which knows no bound.
        grpc_socket_path: A Unix socket for gRPC beside the port.
        grpc_channel_arguments: Comma-separated ``key=value`` for gRPC.
        grpc_max_threads: Requests that are answered at once, over gRPC and again over REST.
        enable_grpc_healthcheck_service: Whether gRPC's health service answers.
        model_name: Name of the one model.
        model_base_path: Its folder of numbered versions.
        model_config_file: Several models, as a ``ModelServerConfig``.
        model_config_file_poll_wait_seconds: How often that file is read anew; 0 is never.
        file_system_poll_wait_seconds: How often folders are looked into; 0 is once.
        max_num_load_retries: How often a version that cannot be loaded is tried again.
        load_retry_interval_micros: How long to wait before that, in microseconds.
        allow_version_labels_for_unavailable_models: Whether labels may be given to versions not yet loaded.
        enable_model_warmup: Whether a version's warm-up requests are replayed before it serves.
        num_request_iterations_for_warmup: How often each.
        enable_batching: Whether concurrent requests are merged.
        batching_parameters_file: How, as ``BatchingParameters``.
        gather_python_threads: Whether with batching Python's threads share one CPU; not a flag of the original, which
            has none.
        enable_per_model_batching_parameters: Whether a version's own ``batching_params.pbtxt`` goes before that.
        enable_signature_method_name_check: Whether Predict, Classify and Regress ask for their own signatures.
        tensorflow_session_parallelism: Threads of each of the two pools below; 0 leaves it to TensorFlow.
        tensorflow_intra_op_parallelism: Threads that share an operation; 1 suits small models and many clients.
        tensorflow_inter_op_parallelism: Threads that run operations side by side.
        monitoring_config_file: Metrics, as a ``MonitoringConfig``.
        ssl_config_file: Not supported here.
        version: Print the version and end.
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
    enable_signature_method_name_check: bool = False
    tensorflow_session_parallelism: int = 0
    tensorflow_intra_op_parallelism: int = 0
    tensorflow_inter_op_parallelism: int = 0
    monitoring_config_file: str = ""
    ssl_config_file: str = ""
    version: bool = False


_TYPES = get_type_hints(Flags)
PORTS, PARALLEL = (0, 65_535), (0, 4096)
# Smallest and largest of the numbers; those that are not named here may be 0 to 10^15.
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
    "tensorflow_session_parallelism": PARALLEL,
    "tensorflow_intra_op_parallelism": PARALLEL,
    "tensorflow_inter_op_parallelism": PARALLEL,
}


def parse(arguments: Sequence[str]) -> Flags:
    """Reads the flags; an unknown one is told on stderr and skipped, as by the original.

    Raises:
        ValueError: A value that is not of the flag's type, or out of its bounds.
    """
    values: dict[str, object] = {}
    for argument in arguments:
        name, equals, text = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or name not in _TYPES or not (equals or _TYPES[name] is bool):
            print(f"unknown argument: {argument}", file=sys.stderr)
            continue
        values[name] = _value(name, text if equals else "true")
    return Flags(**values)  # type: ignore[arg-type]


def _value(name: str, text: str) -> object:
    if _TYPES[name] is bool:
        if text not in BOOLEANS:
            raise ValueError(f"--{name}: found '{text}'; expected true or false")
        return BOOLEANS[text]
    if _TYPES[name] is int:
        smallest, largest = BOUNDS.get(name, (0, 10**15))
        if not re.fullmatch(r"-?[0-9]{1,20}", text, re.ASCII) or not smallest <= int(text) <= largest:
            raise ValueError(f"--{name}: found '{text[:40]}'; expected a whole number from {smallest} to {largest}")
        return int(text)
    return text
