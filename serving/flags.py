"""The flags of ``tensorflow_model_server`` and our own, from the command line and from environment variables.

On the command line, a flag has the form ``--name=value`` or, for booleans, ``--name``. In the environment, it has the
form ``ONEGRAPH_SERVING_NAME=value``.
"""

import dataclasses
import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import get_type_hints

PREFIX = "ONEGRAPH_SERVING_"
TOKEN_VARIABLE = f"{PREFIX}BEARER_TOKEN"  # not a flag, because other users can read command lines
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclasses.dataclass(frozen=True)
class Flags:
    """Server options with the names and defaults of ``tensorflow_model_server``, plus some of our own.

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
        ssl_config_file: Text file with an ``SSLConfig``, to encrypt gRPC and REST.
        bearer_token_file: File with the tokens that HandleReloadConfigRequest needs, one per line. Our own flag.
        require_token_for_all_calls: Whether all calls except health checks need such a token. Our own flag.
        max_calls_per_model: Maximum number of calls per model that run or wait. 0 means no limit. Our own flag.
        access_log_file: File to append a JSON line to for each call, or ``-`` for standard output. Our own flag.
        enable_grpc_reflection: Whether to offer gRPC's reflection service. Our own flag.
        enable_rest_health_checks: Whether ``GET /livez`` and ``GET /readyz`` report the server's health. Our own flag.
        lame_duck_seconds: How long to accept calls after SIGTERM while health checks report NOT_SERVING. Our own flag.
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
    bearer_token_file: str = ""
    require_token_for_all_calls: bool = False
    max_calls_per_model: int = 0
    access_log_file: str = ""
    enable_grpc_reflection: bool = False
    enable_rest_health_checks: bool = False
    lame_duck_seconds: int = 0
    version: bool = False


class OptionError(ValueError):
    """An option that cannot be used, of those that ``tensorflow_model_server`` does not have, or a file that it names.

    The server exits with code 2.
    """


_TYPES = get_type_hints(Flags)
# Flags whose mistakes are reported as an OptionError.
_OPERATORS = {
    "bearer_token_file",
    "require_token_for_all_calls",
    "max_calls_per_model",
    "access_log_file",
    "enable_grpc_reflection",
    "enable_rest_health_checks",
    "lame_duck_seconds",
}
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
    "max_calls_per_model": (0, 10**6),
    "lame_duck_seconds": (0, 3600),
}
# Variables that Kubernetes sets in each container if there are services named onegraph-serving or onegraph-serving-….
_SERVICE = re.compile(r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_SERVICE_URL = re.compile(r"(tcp|udp|sctp)://")


def parse(arguments: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})) -> Flags:
    """Parses the flags. The command line has priority over the environment.

    Unknown arguments are reported on stderr and ignored, as ``tensorflow_model_server`` does.

    Args:
        arguments: The command line, without the command.
        environment: Environment variables. Those that start with ``ONEGRAPH_SERVING_`` have to be flags.

    Raises:
        OptionError: A variable does not name a flag, or the value of a variable or an operator's flag cannot be used.
        ValueError: The value of another flag has the wrong type or is out of range.
    """
    values = _from_environment(environment)
    for argument in arguments:
        name, equals, text = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or name not in _TYPES or not (equals or _TYPES[name] is bool):
            print(f"unknown argument: {argument}", file=sys.stderr)
            continue
        values[name] = _value(f"--{name}", name, text if equals else "true")
    return Flags(**values)  # type: ignore[arg-type]


def usage() -> str:
    """Returns the help text: a line per flag with its default, from the docstring of :class:`Flags`."""
    descriptions = dict(re.findall(r"^ {8}(\w+): (.+)$", Flags.__doc__ or "", re.MULTILINE))
    lines = [
        "usage: python -m serving [--name=value ...]",
        "",
        f"Each flag can also be set by an environment variable, such as {PREFIX}PORT. The command line has priority.",
        "",
        "Flags:",
    ]
    for field in dataclasses.fields(Flags):
        default = str(field.default).lower() if isinstance(field.default, bool) else repr(field.default)
        lines.append(f"  --{field.name}={default}")
        lines.append(f"      {descriptions[field.name].replace('``', '')}")
    return "\n".join(lines)


def _from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for variable, text in sorted(environment.items()):
        name = variable.removeprefix(PREFIX)
        if variable in (name, TOKEN_VARIABLE) or _is_service_link(name, text):
            continue
        if name != name.upper() or name.lower() not in _TYPES:
            known = [TOKEN_VARIABLE, *(PREFIX + flag.upper() for flag in _TYPES)]
            [nearest] = difflib.get_close_matches(variable.upper(), known, n=1, cutoff=0.0)
            raise OptionError(f"environment variable {variable}: there is no such flag; did you mean {nearest}?")
        if text:  # an empty variable counts as not set
            try:
                values[name.lower()] = _value(variable, name.lower(), text)
            except ValueError as error:
                raise OptionError(f"environment variable {error}") from error
    return values


def _is_service_link(name: str, text: str) -> bool:
    return bool(_SERVICE.fullmatch(name) or (name.endswith("PORT") and _SERVICE_URL.match(text)))


def _value(source: str, name: str, text: str) -> object:
    """Returns the value of a flag, given the text and where it comes from."""
    mistake = OptionError if name in _OPERATORS else ValueError
    if _TYPES[name] is bool:
        if text not in BOOLEANS:
            raise mistake(f"{source}: found '{text[:40]}'; expected true or false")
        return BOOLEANS[text]
    if _TYPES[name] is int:
        minimum, maximum = BOUNDS.get(name, (0, 10**15))
        if not re.fullmatch(r"-?[0-9]{1,20}", text, re.ASCII) or not minimum <= int(text) <= maximum:
            raise mistake(f"{source}: found '{text[:40]}'; expected an integer from {minimum} to {maximum}")
        return int(text)
    return text
