"""Reads YAML settings and overrides single keys."""

import re
from pathlib import Path
from typing import Any

import yaml

from pipeline.config.errors import ConfigError, shortened

# Raised by PyYAML for invalid YAML, invalid values and deep nesting.
UNREADABLE = (yaml.YAMLError, ValueError, TypeError, RecursionError)


# PyYAML implements YAML 1.1, which reads 010 as 8, 1:30 as 90, 1_000 as 1000, no as false and 1e-5 as text. Here only
# numbers, true, false and null are not text, as in YAML 1.2, and numbers without leading zeros.
_RESOLVERS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    "float": (
        r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*([eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)|\.[0-9]+([eE][-+]?[0-9]+)?"
        r"|\.(inf|Inf|INF))|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "null": (r"|~|null|Null|NULL", ["", "~", "n", "N"]),
}


class _StringKeyLoader(yaml.SafeLoader):
    """PyYAML's safe loader with keys kept as strings: ``off`` and ``2020-01-01`` stay names.

    It also rejects duplicate keys, of which PyYAML silently uses the last, and keeps the text of values that YAML 1.1
    would change.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: ARG002
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="found a key that is not a string", problem_mark=key_node.start_mark)
            if key_node.value in mapping:
                raise yaml.MarkedYAMLError(problem=f"found '{key_node.value}' twice", problem_mark=key_node.start_mark)
            mapping[key_node.value] = self.construct_object(value_node, deep=True)
        return mapping


_StringKeyLoader.yaml_implicit_resolvers = {}
for _kind, (_pattern, _first) in _RESOLVERS.items():
    _StringKeyLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})\Z"), list(_first))


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a mapping from a YAML file.

    Raises:
        ConfigError: The file cannot be read, or does not hold a mapping.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _StringKeyLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigError(
            f"{shortened(path)}: {error.strerror}; expected a YAML file of settings, such as configs/taxi.yaml"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from error
    except UNREADABLE as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError(f"{path}: {line}{getattr(error, 'problem', None) or error}; expected valid YAML") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: found {type(values).__name__}; expected a mapping of settings")
    return values


def override(values: dict[str, Any], key: str, text: str) -> None:
    """Sets a dotted key of nested mappings and lists to a YAML value.

    >>> values = {"training": {"steps": 1600}}
    >>> override(values, "training.steps", "200")
    >>> override(values, "tflite.enabled", "false")
    >>> values
    {'training': {'steps': 200}, 'tflite': {'enabled': False}}

    Raises:
        ConfigError: The text is not valid YAML, or the key leads through a value that is not a mapping or a list.
    """
    try:
        value = yaml.load(text, _StringKeyLoader)  # noqa: S506 - a SafeLoader
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
        raise ConfigError(
            f"--set {key}: found no '{last}' in '{'.'.join(parents)}'; expected a key of a mapping or a list"
        )


def _is_index(part: str, here: object) -> bool:
    return isinstance(here, list) and part.isascii() and part.isdecimal() and int(part) < len(here)
