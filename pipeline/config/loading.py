"""Loads a problem's settings: one YAML, what the command line puts in its place, and all checks."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError

from common.project import ROOT
from pipeline.config.cloud import Vertex
from pipeline.config.cross_checks import check_config
from pipeline.config.errors import ConfigError, describe
from pipeline.config.metadata_store import Metadata, Tls
from pipeline.config.settings import Config
from pipeline.config.yaml_file import override, read_yaml

REMOTE = "://"
GLOB_CHARACTERS = "*?[]{}\\"  # TFX takes paths for patterns
# By the command's option: the values, in YAML, that it sets by dotted key.
Options: TypeAlias = dict[str, dict[str, str]]


def settings_path(name: str) -> Path:
    """``name`` as given, or else within the project's folder."""
    here, inside = Path(name), ROOT / name
    return inside if not here.exists() and inside.exists() else here


def load_config(
    path: Path,
    overrides: Mapping[str, str] | None = None,
    data: str | None = None,
    output: str | None = None,
    tune: bool | None = None,
    workers: int | None = None,
) -> Config:
    """Loads and checks a problem's settings, for runs on this machine.

    Args:
        path: The YAML file.
        overrides: Values, in YAML, by dotted key (``training.steps``).
        data: Takes the place of ``data.path``.
        output: Takes the place of ``output``.
        tune: Takes the place of ``tuning.enabled``.
        workers: Takes the place of ``training.workers`` and ``tuning.workers``.

    Returns:
        The settings; paths are absolute.

    Raises:
        ConfigError: One line that names the file, the key, what was found and what is allowed.
    """
    options = {"--set": dict(overrides or {}), **_tuned(tune), "--workers": _workers(workers)}
    if data:
        options["--data"] = {"data.path": json.dumps(data), "data.bigquery": "null"}
    config = _load(path, options)
    if config.orchestrator != "local":
        raise ConfigError(
            f"{path}: orchestrator: found '{config.orchestrator}'; expected none: vertex_runner.py sets it"
        )
    return _with_folders(config, path, data, output)


def load_vertex_config(
    path: Path, overrides: Mapping[str, str] | None = None, data: str | None = None, **vertex: str | None
) -> Config:
    """Loads and checks a problem's settings, for runs on Vertex AI.

    Args:
        path: The YAML file.
        overrides: Values, in YAML, by dotted key.
        data: Takes the place of ``data.path``.
        vertex: Take the place of the keys of the same name in ``vertex``.

    Returns:
        The settings. The output is in the bucket; a path of the table without ``gs://`` is one within the image, whose
        working folder is the project's.

    Raises:
        ConfigError: As :func:`load_config`.
    """
    options: Options = {"--set": dict(overrides or {}), **_named(vertex)}
    if data is not None:
        options["--data"] = {"data.path": json.dumps(data), "data.bigquery": "null"}
    config = _load(path, {**options, str(path): {"orchestrator": "vertex"}})
    table = dataclasses.replace(config.data, schema=os.path.abspath(ROOT / config.data.schema))
    folder = config.output if REMOTE in config.output else f"{config.vertex.bucket}/{config.name}"
    return dataclasses.replace(config, data=table, output=folder)


def load_vertex_block(path: Path, overrides: Mapping[str, str] | None = None, **vertex: str | None) -> Vertex:
    """Loads and checks the ``vertex`` block alone, for what concerns no run.

    Args:
        path: The YAML file.
        overrides: Values, in YAML, by dotted key.
        vertex: Take the place of the keys of the same name in ``vertex``.

    Raises:
        ConfigError: As :func:`load_config`.
    """
    block: Vertex = _load(path, {"--set": dict(overrides or {}), **_named(vertex)}, Vertex, "vertex")
    return block


def _named(vertex: Mapping[str, str | None]) -> Options:
    """The options that set a key of ``vertex`` each."""
    return {
        f"--{key}": {f"vertex.{key}": json.dumps(value)} if value is not None else {} for key, value in vertex.items()
    }


def _with_folders(config: Config, path: Path, data: str | None, output: str | None) -> Config:
    """The settings with absolute paths; raises as :func:`load_config` does."""
    for option, given in (("--data", data), ("--output", output)):
        if given is not None and (not given or REMOTE in given):
            raise ConfigError(f"{option}: found '{given}'; expected a folder on this machine")
    for key, place in (("data.path", config.data.path), ("output", config.output)):
        if REMOTE in place:
            raise ConfigError(f"{path}: {key}: found '{place}'; expected a folder on this machine, as local runs need")
    table = dataclasses.replace(
        config.data,
        path=os.path.abspath(data or ROOT / config.data.path) if config.data.path else "",
        schema=os.path.abspath(ROOT / config.data.schema),
    )
    folder = os.path.abspath(output or ROOT / (config.output or f"output/{config.name}"))
    for option, place in (("--data", table.path), ("--output", folder)):
        if found := sorted(set(place) & set(GLOB_CHARACTERS)):
            raise ConfigError(f"{option}: found {''.join(found)} in {place}; expected a path without {GLOB_CHARACTERS}")
    return dataclasses.replace(config, data=table, metadata=_with_files(config.metadata), output=folder)


def _with_files(metadata: Metadata) -> Metadata:
    """The settings with absolute paths."""
    if not metadata.ssl:
        return metadata
    files = {key: os.path.abspath(ROOT / name) for key, name in dataclasses.asdict(metadata.ssl).items() if name}
    return dataclasses.replace(metadata, ssl=Tls(**files))


def _load(path: Path, options: Options, kind: type = Config, key: str = "") -> Any:
    """Loads what stands at a key of the settings, with the overrides of the command's options.

    Raises:
        ConfigError: As :func:`load_config`.
    """
    values = read_yaml(path)
    for overrides in options.values():
        for dotted, text in overrides.items():
            override(values, dotted, text)
    try:
        return _validate(values, kind, key)
    except ValueError as error:
        text = describe(error, kind, key) if isinstance(error, ValidationError) else str(error)
        raise ConfigError(f"{_blamed(path, options, kind, key)}: {text}") from error


def _validate(values: Mapping[str, Any], kind: type, key: str) -> Any:
    # Through JSON, so that strict types hold while YAML's lists may become tuples.
    record: object = TypeAdapter(kind).validate_json(json.dumps(values.get(key) or {} if key else values, default=str))
    if isinstance(record, Config):
        check_config(record)
    return record


def _tuned(tune: bool | None) -> Options:
    return {} if tune is None else {"--tune" if tune else "--no-tune": {"tuning.enabled": json.dumps(tune)}}


def _workers(workers: int | None) -> dict[str, str]:
    return dict.fromkeys(("training.workers", "tuning.workers"), str(workers)) if workers else {}


def _blamed(path: Path, options: Options, kind: type, key: str) -> str:
    """What makes the settings invalid: the file, or the first of the options."""
    values, blamed = read_yaml(path), str(path)
    for option, overrides in options.items():
        if not _is_valid(values, kind, key):
            break
        blamed = option
        for dotted, text in overrides.items():
            override(values, dotted, text)
    return blamed


def _is_valid(values: Mapping[str, Any], kind: type, key: str) -> bool:
    try:
        _validate(values, kind, key)
    except ValueError:
        return False
    return True
