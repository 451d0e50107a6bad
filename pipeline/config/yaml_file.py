"""Reads a YAML file of settings and sets single keys of it."""

import re
from pathlib import Path
from typing import Any

import yaml

from pipeline.config.errors import ConfigError

# What PyYAML raises on text that is no YAML, that no value can be made of, or that nests too deeply.
UNREADABLE = (yaml.YAMLError, ValueError, TypeError, RecursionError)


class _TextKeyLoader(yaml.SafeLoader):
    """PyYAML's safe loader with keys as they are written: ``off`` and ``2020-01-01`` are no key of ours, but names.

    It also refuses a key that stands twice, of which PyYAML takes the last without a word.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: ARG002
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="found a key that is no text", problem_mark=key_node.start_mark)
            if key_node.value in mapping:
                raise yaml.MarkedYAMLError(problem=f"found '{key_node.value}' twice", problem_mark=key_node.start_mark)
            mapping[key_node.value] = self.construct_object(value_node, deep=True)
        return mapping


# YAML 1.2 takes 1e-5 for a number; PyYAML, which is of YAML 1.1, wants a point in it.
_TextKeyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a mapping from a YAML file.

    Raises:
        ConfigError: It cannot be read, or is no mapping.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _TextKeyLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; expected a YAML file of settings, such as configs/taxi.yaml"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from error
    except UNREADABLE as error:
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
    try:
        value = yaml.load(text, _TextKeyLoader)  # noqa: S506 - a SafeLoader
    except UNREADABLE as error:
        raise ConfigError(f"--set {key}: found '{text}'; expected a YAML value") from error
    *parents, last = key.split(".")
    here: Any = values
    for part in parents:
        if isinstance(here, dict):
            here = here.setdefault(part, {})
        elif _is_index(part, here):
            here = here[int(part)]
        else:
            here = None
            break
    if _is_index(last, here):
        here[int(last)] = value
    elif isinstance(here, dict):
        here[last] = value
    else:
        raise ConfigError(f"--set {key}: there is nothing at '{'.'.join(parents)}' to set '{last}' in")


def _is_index(part: str, here: object) -> bool:
    return isinstance(here, list) and part.isascii() and part.isdecimal() and int(part) < len(here)
