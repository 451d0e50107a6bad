"""Converts ML Metadata's messages to records."""

import datetime
import json
from collections.abc import Iterable
from typing import Any

from google.protobuf import json_format
from ml_metadata.proto import metadata_store_pb2

from lineage.records import Artifact, Direction, Event, Execution, State

# TFX's names of the context types.
PIPELINE_CONTEXT, RUN_CONTEXT, NODE_CONTEXT = "pipeline", "pipeline_run", "node"
# TFX wraps a JSON value that is not a struct under this key.
WRAPPER = "__value__"
# Inputs that are only compared with: the outputs are not made from them.
REFERENCES = ("baseline_model",)

STATES: dict[int, State] = {
    metadata_store_pb2.Execution.UNKNOWN: "running",
    metadata_store_pb2.Execution.NEW: "running",
    metadata_store_pb2.Execution.RUNNING: "running",
    metadata_store_pb2.Execution.COMPLETE: "ran",
    metadata_store_pb2.Execution.FAILED: "failed",
    metadata_store_pb2.Execution.CACHED: "cached",
    metadata_store_pb2.Execution.CANCELED: "canceled",
}
DIRECTIONS: dict[int, Direction] = {
    metadata_store_pb2.Event.INPUT: "input",
    metadata_store_pb2.Event.DECLARED_INPUT: "input",
    metadata_store_pb2.Event.OUTPUT: "output",
    metadata_store_pb2.Event.DECLARED_OUTPUT: "output",
    metadata_store_pb2.Event.INTERNAL_OUTPUT: "found",
}


def to_artifact(message: metadata_store_pb2.Artifact) -> Artifact:
    """Converts an artifact."""
    return Artifact(
        id=message.id,
        type=message.type,
        uri=message.uri,
        created=to_time(message.create_time_since_epoch),
        properties=to_properties(message),
    )


def to_execution(message: metadata_store_pb2.Execution, contexts: Iterable[metadata_store_pb2.Context]) -> Execution:
    """Converts an execution. Its contexts name the node, the pipeline and the run."""
    names: dict[str, list[str]] = {}
    # Oldest first: a partial run reuses executions of an earlier run, whose context is older.
    for context in sorted(contexts, key=lambda each: each.id):
        names.setdefault(context.type, []).append(context.name)
    pipeline = next(iter(names.get(PIPELINE_CONTEXT, ())), "")
    node = next(iter(names.get(NODE_CONTEXT, ())), None)
    return Execution(
        id=message.id,
        node=node.removeprefix(f"{pipeline}.") if node is not None else message.type.rpartition(".")[2],
        pipeline=pipeline,
        run_id=next(iter(names.get(RUN_CONTEXT, ())), ""),
        type=message.type,
        state=STATES[message.last_known_state],
        started=to_time(message.create_time_since_epoch),
        finished=to_time(message.last_update_time_since_epoch),
        properties=to_properties(message),
    )


def to_events(messages: Iterable[metadata_store_pb2.Event]) -> list[Event]:
    """Converts events, without those that only serve TFX's bookkeeping."""
    return [event for message in messages if (event := _to_event(message)) is not None]


def to_properties(
    message: metadata_store_pb2.Artifact | metadata_store_pb2.Execution | metadata_store_pb2.Context,
) -> dict[str, Any]:
    """Converts all properties of a message to plain values, sorted by name."""
    properties = [*message.properties.items(), *message.custom_properties.items()]
    return {name: _to_plain(value) for name, value in sorted(properties, key=lambda pair: pair[0])}


def to_time(milliseconds: float) -> datetime.datetime:
    """Converts milliseconds since 1970 to a time in UTC.

    >>> to_time(1_500.0)
    datetime.datetime(1970, 1, 1, 0, 0, 1, 500000, tzinfo=datetime.timezone.utc)
    """
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)


def json_object(value: Any) -> dict[str, Any]:
    """Returns a dictionary, or parses the JSON of one. Anything else becomes an empty one.

    >>> json_object('{"steps": 20}')
    {'steps': 20}
    >>> json_object("[1, 2")
    {}
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def _to_event(message: metadata_store_pb2.Event) -> Event | None:
    direction = DIRECTIONS.get(message.type)
    if direction is None:
        return None
    # The channel of a condition has a second key, which starts with an underscore, in either order.
    keys = [step.key for step in message.path.steps if step.WhichOneof("value") == "key" and step.key]
    key = next((each for each in keys if not each.startswith("_")), keys[0] if keys else "")
    index = next((step.index for step in message.path.steps if step.WhichOneof("value") == "index"), 0)
    if direction == "input" and key in REFERENCES:
        direction = "reference"
    return Event(message.execution_id, message.artifact_id, direction, key, index)


def _to_plain(value: metadata_store_pb2.Value) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "struct_value":
        plain = json_format.MessageToDict(value.struct_value)
        return json.loads(plain[WRAPPER]) if set(plain) == {WRAPPER} else plain
    return json_format.MessageToDict(value.proto_value) if kind == "proto_value" else getattr(value, kind)
