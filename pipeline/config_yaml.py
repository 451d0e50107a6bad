"""Reads a YAML file of settings and sets single keys of it."""

from pathlib import Path
from typing import Any

import yaml

from pipeline.config_errors import ConfigError


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML's safe loader takes the last of two equal keys without a word; this one refuses."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.MarkedYAMLError(problem=f"found '{key_node.value}' twice", problem_mark=key_node.start_mark)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a mapping from a YAML file.

    Raises:
        ConfigError: It cannot be read, or is no mapping.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; expected a YAML file of settings, such as configs/taxi.yaml"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError(f"{path}: {place}{getattr(error, 'problem', None) or error}; expected YAML") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: found {type(values).__name__}; expected a mapping of settings")
    return values


def override(values: dict[str, Any], key: str, text: str) -> None:
    """Sets the dotted ``key`` of nested mappings and lists to a value in YAML.

    Raises:
        ConfigError: ``text`` is no YAML, or ``key`` leads through something that is neither.
    """
    *parents, last = key.split(".")
    here: Any = values
    for part in parents:
        if isinstance(here, dict):
            here = here.setdefault(part, {})
        elif isinstance(here, list) and part.isdigit() and int(part) < len(here):
            here = here[int(part)]
        else:
            break
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {key}: found '{text}'; expected a YAML value") from error
    if isinstance(here, list) and last.isdigit() and int(last) < len(here):
        here[int(last)] = value
    elif isinstance(here, dict):
        here[last] = value
    else:
        raise ConfigError(f"--set {key}: there is nothing at '{'.'.join(parents)}' to set '{last}' in")
