"""Reads a run's record from the properties of its context, which :mod:`lineage.recorded.run_recorder` writes."""

import dataclasses
import datetime
import socket
from typing import Any

import psutil
from ml_metadata.proto import metadata_store_pb2

from lineage.records import Origin, RunRecord
from lineage.store.messages import PIPELINE_CONTEXT, json_object, to_properties, to_time

STARTED, STATUS = "started", "status"
# Properties that hold JSON.
JSON_PROPERTIES = ("settings", "versions", "metrics")


def to_run_record(context: metadata_store_pb2.Context) -> RunRecord:
    """Converts a run's context.

    Runs of early versions of this project have no properties. Runs of other tools may have others.
    """
    properties = to_properties(context)
    for name in JSON_PROPERTIES:
        if name in properties:
            properties[name] = json_object(properties[name])
    recorded = properties.get(STARTED)
    started = to_time(recorded if isinstance(recorded, float) else context.create_time_since_epoch)
    origin = _origin(properties)
    return RunRecord(
        run_id=context.name,
        context_id=context.id,
        pipeline=properties.get(PIPELINE_CONTEXT),
        status=properties.get(STATUS) or _unfinished_status(origin, started),
        started=started,
        seconds=properties.get("seconds"),
        version=properties.get("version"),
        metrics=properties.get("metrics", {}),
        error=properties.get("error"),
        origin=origin,
    )


def _origin(properties: dict[str, Any]) -> Origin | None:
    if "command" not in properties:
        return None
    fields: dict[str, Any] = {field.name: properties.get(field.name) for field in dataclasses.fields(Origin)}
    return Origin(**fields)


def _unfinished_status(origin: Origin | None, started: datetime.datetime) -> str:
    """Returns the status of a run that recorded none."""
    if origin is None:
        return "unknown"
    if origin.host != socket.gethostname():
        return "unfinished"
    try:
        # A process with the same id that started later is not the run.
        return "running" if psutil.Process(origin.pid).create_time() <= started.timestamp() else "interrupted"
    except psutil.NoSuchProcess:
        return "interrupted"
