"""ML Metadata's messages as records."""

import datetime
import json
from typing import Any

from google.protobuf import json_format
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from lineage.graph.contexts import NODE, PIPELINE, RUN
from lineage.records import Artifact, Direction, Execution, Link, State

Event = metadata_store_pb2.Event
# TFX writes a JSON value that is no struct under this key.
WRAPPED = "__value__"
# Inputs that a judge compares with: nothing is made of them.
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
    Event.INPUT: "input",
    Event.DECLARED_INPUT: "input",
    Event.OUTPUT: "output",
    Event.DECLARED_OUTPUT: "output",
    Event.INTERNAL_OUTPUT: "found",
}


def to_artifact(message: metadata_store_pb2.Artifact) -> Artifact:
    """An artifact's record."""
    return Artifact(
        id=message.id,
        type=message.type,
        uri=message.uri,
        created=to_time(message.create_time_since_epoch),
        properties=to_properties(message),
    )


def to_execution(store: metadata_store.MetadataStore, message: metadata_store_pb2.Execution) -> Execution:
    """An execution's record, with the node and the run that its contexts name."""
    contexts = store.get_contexts_by_execution(message.id)
    nodes = [context.name for context in contexts if context.type == NODE]
    pipeline = next((context.name for context in contexts if context.type == PIPELINE), "")
    # A partial run takes over executions of an earlier one, whose context is older.
    runs = sorted((context.id, context.name) for context in contexts if context.type == RUN)
    return Execution(
        id=message.id,
        node=nodes[0].removeprefix(f"{pipeline}.") if nodes else message.type.rpartition(".")[2],
        pipeline=pipeline,
        run_id=runs[0][1] if runs else "",
        type=message.type,
        state=STATES[message.last_known_state],
        started=to_time(message.create_time_since_epoch),
        finished=to_time(message.last_update_time_since_epoch),
        properties=to_properties(message),
    )


def to_link(event: metadata_store_pb2.Event) -> Link | None:
    """An event's record; none for those that only TFX's own bookkeeping needs."""
    direction = DIRECTIONS.get(event.type)
    if direction is None:
        return None
    # A condition's channel goes by a second name, which begins with an underscore; the order is not fixed.
    keys = [step.key for step in event.path.steps if step.WhichOneof("value") == "key" and step.key]
    key = next((each for each in keys if not each.startswith("_")), keys[0] if keys else "")
    index = next((step.index for step in event.path.steps if step.WhichOneof("value") == "index"), 0)
    if direction == "input" and key in REFERENCES:
        direction = "reference"
    return Link(event.execution_id, event.artifact_id, direction, key, index)


def to_properties(
    message: metadata_store_pb2.Artifact | metadata_store_pb2.Execution | metadata_store_pb2.Context,
) -> dict[str, Any]:
    """All properties by name, as plain values."""
    together = [*message.properties.items(), *message.custom_properties.items()]
    return {name: _to_plain(value) for name, value in sorted(together, key=lambda pair: pair[0])}


def to_time(milliseconds: float) -> datetime.datetime:
    """ML Metadata's time, in UTC."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)


def _to_plain(value: metadata_store_pb2.Value) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "struct_value":
        plain = json_format.MessageToDict(value.struct_value)
        return json.loads(plain[WRAPPED]) if set(plain) == {WRAPPED} else plain
    return json_format.MessageToDict(value.proto_value) if kind == "proto_value" else getattr(value, kind)


def parsed(value: Any) -> dict[str, Any]:
    """A mapping, or the JSON of one; empty for anything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}
