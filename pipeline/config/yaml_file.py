"""Reads YAML settings and overrides single keys."""

import itertools
import re
from pathlib import Path
from typing import Any

import yaml

from common.dotted_keys import join_key, split_key
from common.small_files import read_small_text
from pipeline.config.errors import ConfigError, shortened

MAX_CHARACTERS = 1 << 20  # of a file, and of its values once aliases are replaced

# Raised by PyYAML for invalid YAML, values that do not fit their tag, and deep nesting.
UNREADABLE = (yaml.YAMLError, ValueError, TypeError, LookupError, RecursionError)


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


# A tag in the text may only name a type that values without one have, too. Others become sets, bytes or dates.
_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in (*_RESOLVERS, "str", "seq", "map")}
_StringKeyLoader.yaml_constructors = {
    tag: constructor for tag, constructor in yaml.SafeLoader.yaml_constructors.items() if tag is None or tag in _TAGS
}
_StringKeyLoader.yaml_implicit_resolvers = {}
for _kind, (_pattern, _first) in _RESOLVERS.items():
    _StringKeyLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})\Z"), list(_first))


class AliasError(yaml.MarkedYAMLError):
    """Aliases make a YAML value much larger than it is written."""


def _load(text: str) -> Any:
    """Parses YAML. Aliases may not make it much larger than it is written.

    Raises:
        yaml.YAMLError: The text is not valid YAML, or its aliases repeat too much (:class:`AliasError`).
    """
    loader = _StringKeyLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _expanded_size(node, {}) > MAX_CHARACTERS:
            raise AliasError(
                problem=f"found aliases that expand to more than {MAX_CHARACTERS} characters",
                problem_mark=node.start_mark,
            )
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _expanded_size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """The number of characters and nodes below a node, where an alias counts like what it stands for."""
    if isinstance(node, yaml.ScalarNode):
        return 1 + len(node.value)
    if id(node) not in sizes:
        sizes[id(node)] = MAX_CHARACTERS  # until it is known: an alias within the node that it stands for
        parts = node.value if isinstance(node, yaml.SequenceNode) else itertools.chain.from_iterable(node.value)
        sizes[id(node)] = 1 + sum(_expanded_size(each, sizes) for each in parts)
    return sizes[id(node)]


def read_yaml(path: Path, what: str = "settings, such as configs/taxi.yaml") -> dict[str, Any]:
    """Reads a mapping from a YAML file.

    Args:
        path: The file.
        what: What the mapping is of, for errors.

    Raises:
        ConfigError: The file cannot be read, or does not hold a mapping.
    """
    try:
        values = _load(read_small_text(path, MAX_CHARACTERS))
    except OSError as error:
        raise ConfigError(f"{shortened(path)}: {error.strerror}; expected a YAML file of {what}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from error
    except UNREADABLE as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError(f"{path}: {line}{_problem(error)}; expected valid YAML") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: found {type(values).__name__}; expected a mapping of {what}")
    return values


def _problem(error: Exception) -> str:
    if isinstance(error, LookupError):
        return "found a value that its tag does not allow"
    return str(getattr(error, "problem", None) or error)


def override(values: dict[str, Any], key: str, text: str) -> None:
    """Sets a dotted key of nested mappings and lists to a YAML value. See :mod:`common.dotted_keys`.

    >>> values = {"training": {"steps": 1600}}
    >>> override(values, "training.steps", "200")
    >>> override(values, "tflite.enabled", "false")
    >>> values
    {'training': {'steps': 200}, 'tflite': {'enabled': False}}

    Raises:
        ConfigError: The text is not valid YAML, or the key leads through a value that is not a mapping or a list.
    """
    try:
        value = _load(text)
    except UNREADABLE as error:
        found = error.problem if isinstance(error, AliasError) else f"found '{shortened(text)}'"
        raise ConfigError(f"--set {key}: {found}; expected a YAML value") from error
    try:
        *parents, last = split_key(key)
    except ValueError as error:
        raise ConfigError(f"--set {key}: {error}; expected quoted parts as in JSON") from error
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
            f"--set {key}: found no '{last}' in '{join_key(parents)}'; expected a key of a mapping or a list"
        )


def _is_index(part: str, here: object) -> bool:
    return isinstance(here, list) and part.isascii() and part.isdecimal() and int(part) < len(here)
