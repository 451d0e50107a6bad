"""Loads and checks the settings of a problem: the YAML file with the overrides of the command line."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError

from common.project import ROOT
from common.remote_paths import is_remote
from pipeline.config.cross_checks import check_config
from pipeline.config.errors import ConfigError
from pipeline.config.metadata import Metadata, Tls
from pipeline.config.pydantic_errors import describe
from pipeline.config.settings import Config
from pipeline.config.vertex import Vertex
from pipeline.config.yaml_file import override, read_yaml

GLOB_CHARACTERS = "*?[]{}\\"  # TFX treats paths as patterns
# By command-line option: the YAML values that it sets, by dotted key.
Options: TypeAlias = dict[str, dict[str, str]]


def settings_path(name: str) -> Path:
    """Returns the path as is, or inside the project's folder if it only exists there."""
    here, inside = Path(name), ROOT / name
    # Unlike Path.exists, os.path.exists does not raise for a path that is too long or in an unreadable folder.
    return inside if not os.path.exists(here) and os.path.exists(inside) else here


def load_config(
    path: Path,
    overrides: Mapping[str, str] | None = None,
    data: str | None = None,
    output: str | None = None,
    tune: bool | None = None,
    workers: int | None = None,
) -> Config:
    """Loads and checks the settings for local runs.

    Args:
        path: The YAML file.
        overrides: YAML values by dotted key, such as ``training.steps``.
        data: Overrides ``data.path``.
        output: Overrides ``output``.
        tune: Overrides ``tuning.enabled``.
        workers: Overrides ``training.workers`` and ``tuning.workers``.

    Returns:
        The settings, with absolute paths.

    Raises:
        ConfigError: One line with the file, the key, what was found and what was expected.
    """
    options = {"--set": dict(overrides or {}), **_tune_option(tune), "--workers": _workers(workers)}
    if data:
        options["--data"] = {"data.path": json.dumps(data), "data.bigquery": "null"}
    config = _load(path, options)
    if config.orchestrator != "local":
        raise ConfigError(
            f"{path}: orchestrator: found '{config.orchestrator}'; remove it, since only vertex_runner.py sets it"
        )
    return _with_folders(config, path, data, output)


def load_vertex_config(
    path: Path, overrides: Mapping[str, str] | None = None, data: str | None = None, **vertex: str | None
) -> Config:
    """Loads and checks the settings for runs on Vertex AI.

    Args:
        path: The YAML file.
        overrides: YAML values by dotted key.
        data: Overrides ``data.path``.
        vertex: Override the keys of the same name in ``vertex``.

    Returns:
        The settings. The output is in the bucket. A path of the table without ``gs://`` is relative to the project's
        folder in the image.

    Raises:
        ConfigError: Like :func:`load_config`.
    """
    options: Options = {"--set": dict(overrides or {}), **_vertex_options(vertex)}
    if data is not None:
        options["--data"] = {"data.path": json.dumps(data), "data.bigquery": "null"}
    config = _load(path, {**options, str(path): {"orchestrator": "vertex"}})
    table = dataclasses.replace(config.data, schema=os.path.abspath(ROOT / config.data.schema))
    folder = config.output if is_remote(config.output) else f"{config.vertex.bucket}/{config.name}"
    return dataclasses.replace(config, data=table, output=folder)


def load_vertex_block(path: Path, overrides: Mapping[str, str] | None = None, **vertex: str | None) -> Vertex:
    """Loads and checks only the ``vertex`` block, for commands that need no other settings.

    Args:
        path: The YAML file.
        overrides: YAML values by dotted key.
        vertex: Override the keys of the same name in ``vertex``.

    Raises:
        ConfigError: Like :func:`load_config`.
    """
    block: Vertex = _load(path, {"--set": dict(overrides or {}), **_vertex_options(vertex)}, Vertex, "vertex")
    return block


def _vertex_options(vertex: Mapping[str, str | None]) -> Options:
    """Returns the options that each set one key of ``vertex``."""
    return {
        f"--{key}": {f"vertex.{key}": json.dumps(value)} if value is not None else {} for key, value in vertex.items()
    }


def _with_folders(config: Config, path: Path, data: str | None, output: str | None) -> Config:
    """Makes the paths absolute. Raises like :func:`load_config`."""
    for option, folder in (("--data", data), ("--output", output)):
        if folder is not None and (not folder or is_remote(folder)):
            raise ConfigError(f"{option}: found '{folder}'; expected a folder on this machine")
    test = config.data.test_path
    for key, folder in (("data.path", config.data.path), ("data.test_path", test or ""), ("output", config.output)):
        if is_remote(folder):
            raise ConfigError(f"{path}: {key}: found '{folder}'; expected a folder on this machine, for a local run")
    table = dataclasses.replace(
        config.data,
        path=os.path.abspath(data or ROOT / config.data.path) if config.data.path else "",
        test_path=os.path.abspath(ROOT / test) if test else None,
        schema=os.path.abspath(ROOT / config.data.schema),
    )
    output = os.path.abspath(output or ROOT / (config.output or f"output/{config.name}"))
    for option, folder in (("--data", table.path), ("data.test_path", table.test_path or ""), ("--output", output)):
        if found := sorted(set(folder) & set(GLOB_CHARACTERS)):
            raise ConfigError(
                f"{option}: found {''.join(found)} in {folder}; expected a path without {GLOB_CHARACTERS}"
            )
    return dataclasses.replace(config, data=table, metadata=_with_files(config.metadata), output=output)


def _with_files(metadata: Metadata) -> Metadata:
    """Makes the paths of the certificates absolute."""
    if not metadata.ssl:
        return metadata
    files = {key: os.path.abspath(ROOT / name) for key, name in dataclasses.asdict(metadata.ssl).items() if name}
    return dataclasses.replace(metadata, ssl=Tls(**files))


def _load(path: Path, options: Options, kind: type = Config, key: str = "") -> Any:
    """Loads the settings, or the block at a key, with the overrides of the options.

    Raises:
        ConfigError: Like :func:`load_config`.
    """
    values = read_yaml(path)
    for overrides in options.values():
        for dotted, text in overrides.items():
            override(values, dotted, text)
    try:
        return _validate(values, kind, key)
    except ValueError as error:
        text = describe(error, kind, key) if isinstance(error, ValidationError) else str(error)
        raise ConfigError(f"{_source_of_error(path, options, kind, key)}: {text}") from error


def _validate(values: Mapping[str, Any], kind: type, key: str) -> Any:
    # Via JSON, because strict mode does not turn lists into tuples otherwise.
    record: object = TypeAdapter(kind).validate_json(json.dumps(values.get(key) or {} if key else values, default=str))
    if isinstance(record, Config):
        check_config(record)
    return record


def _tune_option(tune: bool | None) -> Options:
    return {} if tune is None else {"--tune" if tune else "--no-tune": {"tuning.enabled": json.dumps(tune)}}


def _workers(workers: int | None) -> dict[str, str]:
    return dict.fromkeys(("training.workers", "tuning.workers"), str(workers)) if workers else {}


def _source_of_error(path: Path, options: Options, kind: type, key: str) -> str:
    """Returns what makes the settings invalid: the file, or the first option that does."""
    values, source = read_yaml(path), str(path)
    for option, overrides in options.items():
        if not _is_valid(values, kind, key):
            break
        source = option
        for dotted, text in overrides.items():
            override(values, dotted, text)
    return source


def _is_valid(values: Mapping[str, Any], kind: type, key: str) -> bool:
    try:
        _validate(values, kind, key)
    except ValueError:
        return False
    return True
