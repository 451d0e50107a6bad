"""Compares the settings of two executions of a node."""

import dataclasses
import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format, text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from artifacts.names import INPUT_BASE, INPUT_CONFIG, INPUT_FINGERPRINT, SPAN, VERSION
from common.dotted_keys import join_key
from lineage.queries.results import Change, ChangeKind
from lineage.records import Execution

# Settings of ExampleGen that describe the data that it read.
DATA = (INPUT_BASE, INPUT_CONFIG, INPUT_FINGERPRINT, SPAN, VERSION, "query")
SCHEMA = "text"
# Components keep the user's settings under these prefixes.
WRAPPERS = ("custom_config.custom_config.value.", "custom_config.")
FEATURES = ("problem.", "task", "label.", "features.")


def changed_settings(before: Execution, after: Execution) -> list[Change]:
    """Compares the settings of two executions of a node. Schemas are compared feature by feature."""
    changes = []
    for name in sorted({*before.properties, *after.properties}):
        old, new = before.properties.get(name), after.properties.get(name)
        if old == new:
            continue
        if name == SCHEMA:
            changes += changed_schema(str(old or ""), str(new or ""), after.node)
            continue
        for key, old_value, new_value in changed_values(flat(name, old), flat(name, new)):
            changes.append(Change(_kind(key), key, old_value, new_value, (after.node,)))
    return changes


def changed_schema(before: str, after: str, node: str) -> list[Change]:
    """Compares two schemas in text format, line by line if one of them cannot be parsed.

    >>> [change] = changed_schema('feature { name: "fare" type: INT }', 'feature { name: "fare" type: FLOAT }', "Node")
    >>> change.what, change.before, change.after
    ('feature.fare.type', 'INT', 'FLOAT')
    """
    try:
        old, new = _flat_schema(before), _flat_schema(after)
    except text_format.ParseError:
        lines = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]
        return [Change("schema", SCHEMA, None, "\n".join(lines), (node,))]
    return [
        Change("schema", key, old_value, new_value, (node,)) for key, old_value, new_value in changed_values(old, new)
    ]


def changed_values(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Returns name, old value and new value of each difference.

    >>> changed_values({"steps": 20, "seed": 1}, {"steps": 120, "seed": 1, "patience": 3})
    [('steps', 20, 120), ('patience', None, 3)]
    """
    names = dict.fromkeys([*before, *after])
    return [(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)]


def flat(name: str, value: Any) -> dict[str, Any]:
    """Returns the leaves of a value by dotted key. Strings that hold JSON are parsed.

    >>> flat("custom_config", '{"training": {"steps": 20, "layers": [8, 4]}}')
    {'training.steps': 20, 'training.layers': [8, 4]}
    >>> flat("evaluation", {"slices": [{"column": "hour"}]})
    {'evaluation.slices.0.column': 'hour'}
    """
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except ValueError:
            return {name: value}
    if isinstance(value, Mapping):
        pairs: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list) and any(isinstance(each, Mapping | list) for each in value):
        pairs = enumerate(value)
    else:
        return {name: value} if value is not None else {}
    leaves: dict[str, Any] = {}
    for key, inner in pairs:
        part = join_key([str(key)])
        leaves |= flat(f"{name}.{part}" if name else part, inner)
    return {_without_wrapper(key): leaf for key, leaf in leaves.items()}


def merged(changes: Iterable[Change]) -> list[Change]:
    """Merges equal changes of several nodes into one.

    >>> [change] = merged([Change("code", "code", 1, 2, ("Tuner",)), Change("code", "code", 1, 2, ("Trainer",))])
    >>> change.nodes
    ('Tuner', 'Trainer')
    """
    groups: dict[str, list[Change]] = {}
    for change in changes:
        key = json.dumps([change.kind, change.what, change.before, change.after], default=str)
        groups.setdefault(key, []).append(change)
    return [
        dataclasses.replace(equal[0], nodes=tuple(dict.fromkeys(node for each in equal for node in each.nodes)))
        for equal in groups.values()
    ]


def _kind(key: str) -> ChangeKind:
    if key.partition(".")[0] in DATA:
        return "data"
    if key.rpartition(".")[2] == "code":
        return "code"
    return "features" if key.startswith(FEATURES) else "settings"


def _flat_schema(text: str) -> dict[str, Any]:
    """Returns the leaves of a schema, with features and domains by name."""
    message = json_format.MessageToDict(text_format.Parse(text, schema_pb2.Schema()), preserving_proto_field_name=True)
    features = {each["name"]: each for each in message.pop("feature", ())}
    domains = {each["name"]: each for each in message.pop("string_domain", ())}
    return flat("", {"feature": features, "string_domain": domains, **message})


def _without_wrapper(key: str) -> str:
    return next((key.removeprefix(each) for each in WRAPPERS if key.startswith(each)), key)
