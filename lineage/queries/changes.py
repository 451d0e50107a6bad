"""What differs between two executions of a node, setting by setting."""

import dataclasses
import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from google.protobuf import json_format, text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from lineage.records import Execution

Kind = Literal["data", "schema", "features", "settings", "code", "input"]
# Settings of ExampleGen that say what it read.
DATA = ("input_base", "input_config", "input_fingerprint", "span", "version", "query")
SCHEMA = "text"
# Where components keep their settings; a user knows the keys below.
WRAPPERS = ("custom_config.custom_config.value.", "custom_config.")
FEATURES = ("problem.", "task", "label.", "features.")


@dataclasses.dataclass(frozen=True)
class Change:
    """One thing that differs.

    Attributes:
        kind: What it is of.
        what: Its name: a setting's dotted key, an input's name, a feature of the schema.
        before: What it was; ``None`` where it was not there.
        after: What it is; ``None`` where it is not there.
        nodes: The nodes whose settings it is; empty for a run's.
    """

    kind: Kind
    what: str
    before: Any
    after: Any
    nodes: tuple[str, ...] = ()


def changed_settings(before: Execution, after: Execution) -> list[Change]:
    """What differs in the settings of two executions of a node; a schema is compared feature by feature."""
    found = []
    for name in sorted({*before.properties, *after.properties}):
        old, new = before.properties.get(name), after.properties.get(name)
        if old == new:
            continue
        if name == SCHEMA:
            found += changed_schema(str(old or ""), str(new or ""), after.node)
            continue
        for what, was, now in changed_values(flat(name, old), flat(name, new)):
            found.append(Change(_kind(what), what, was, now, (after.node,)))
    return found


def changed_schema(before: str, after: str, node: str) -> list[Change]:
    """What differs between two schemas; as lines where one of them cannot be read."""
    try:
        old, new = _schema(before), _schema(after)
    except text_format.ParseError:
        lines = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]
        return [Change("schema", SCHEMA, None, "\n".join(lines), (node,))]
    return [Change("schema", what, was, now, (node,)) for what, was, now in changed_values(old, new)]


def changed_values(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Names, old and new values of what differs."""
    names = dict.fromkeys([*before, *after])
    return [(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)]


def flat(name: str, value: Any) -> dict[str, Any]:
    """A value's leaves by dotted key; text that is JSON is looked into."""
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
        leaves |= flat(f"{name}.{key}" if name else str(key), inner)
    return {_without_wrapper(key): leaf for key, leaf in leaves.items()}


def merged(changes: Iterable[Change]) -> list[Change]:
    """The same change of several nodes as one."""
    nodes: dict[str, list[Change]] = {}
    for change in changes:
        key = json.dumps([change.kind, change.what, change.before, change.after], default=str)
        nodes.setdefault(key, []).append(change)
    return [
        dataclasses.replace(same[0], nodes=tuple(dict.fromkeys(node for each in same for node in each.nodes)))
        for same in nodes.values()
    ]


def _kind(what: str) -> Kind:
    if what.partition(".")[0] in DATA:
        return "data"
    if what.rpartition(".")[2] == "code":
        return "code"
    return "features" if what.startswith(FEATURES) else "settings"


def _schema(text: str) -> dict[str, Any]:
    """A schema's leaves, features and domains by their names."""
    message = json_format.MessageToDict(text_format.Parse(text, schema_pb2.Schema()), preserving_proto_field_name=True)
    features = {each["name"]: each for each in message.pop("feature", ())}
    domains = {each["name"]: each for each in message.pop("string_domain", ())}
    return flat("", {"feature": features, "string_domain": domains, **message})


def _without_wrapper(key: str) -> str:
    return next((key.removeprefix(each) for each in WRAPPERS if key.startswith(each)), key)
