"""The models to serve, from the flags or from a model config file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from tensorflow_serving.config import model_server_config_pb2

from serving.errors import invalid_argument
from serving.flags import Flags
from serving.text_protos import read_text_proto

ModelServerConfig: TypeAlias = model_server_config_pb2.ModelServerConfig
ModelConfig: TypeAlias = model_server_config_pb2.ModelConfig
PLATFORM = "tensorflow"


def model_configs(flags: Flags) -> list[ModelConfig]:
    """Returns the models that the flags name.

    Raises:
        ServingError: The model config file cannot be read or is invalid.
    """
    if flags.model_config_file:
        return read_model_configs(Path(flags.model_config_file))
    if not flags.model_base_path:
        raise invalid_argument("found neither --model_base_path nor --model_config_file; expected one of them")
    config = ModelConfig(name=flags.model_name, base_path=flags.model_base_path, model_platform=PLATFORM)
    return validated([config])


def read_model_configs(path: Path) -> list[ModelConfig]:
    """Reads and validates a model config file.

    Raises:
        ServingError: It cannot be read or is invalid.
    """
    config = read_text_proto(path, ModelServerConfig())
    if config.WhichOneof("config") != "model_config_list":
        raise invalid_argument(f"{path}: expected a model_config_list")
    return validated(list(config.model_config_list.config))


def validated(configs: Sequence[ModelConfig]) -> list[ModelConfig]:
    """Returns the models as a list if all of them can be served.

    Raises:
        ServingError: A name is missing or duplicated, a base path is relative, or a platform is not TensorFlow.
    """
    names: set[str] = set()
    for config in configs:
        if not config.name:
            raise invalid_argument("Missing name in ModelConfig")
        if config.name in names:
            raise invalid_argument(f"Illegal to list model {config.name} multiple times in config list")
        names.add(config.name)
        if not config.base_path.startswith("/") or "\0" in config.base_path:
            raise invalid_argument(
                f"Expected model {config.name} to have an absolute path or URI; got base_path()={config.base_path}"
            )
        # The deprecated field model_type is an enum, in which 1 is TensorFlow.
        platform = config.model_platform or {1: PLATFORM}.get(config.model_type, "")
        if platform != PLATFORM:
            raise invalid_argument(f"Invalid platform '{platform}' for model {config.name}; expected '{PLATFORM}'")
    return list(configs)
