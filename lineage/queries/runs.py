"""The runs of a store, by the properties that each recorded of itself."""

import dataclasses
import datetime
import socket
from collections.abc import Sequence
from typing import Any

import psutil
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from lineage.errors import LineageError
from lineage.graph.contexts import PIPELINE, RUN
from lineage.graph.convert import parsed, to_properties, to_time
from lineage.recorded.run_properties import AS_JSON, STARTED, STATUS
from lineage.records import Origin, Run

LATEST = "latest"
SHOWN = 3


def all_runs(store: metadata_store.MetadataStore) -> list[Run]:
    """The runs of all pipelines, newest first; one query."""
    contexts = store.get_contexts_by_type(RUN)
    return [to_run(each) for each in sorted(contexts, key=lambda each: (each.create_time_since_epoch, each.id))[::-1]]


def find_run(store: metadata_store.MetadataStore, name: str) -> Run:
    """The run of a name, of ``latest``, or of what only one run begins with.

    Raises:
        LineageError: There is none, or there are several.
    """
    exact = store.get_context_by_type_and_name(RUN, name)
    if exact is not None:
        return to_run(exact)
    runs = all_runs(store)
    if not runs:
        raise LineageError("no run is in this store yet; expected one by local_runner.py")
    if name == LATEST:
        return runs[0]
    matching = [run for run in runs if run.run_id.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise LineageError(f"run '{name}': {len(matching)} runs begin with it: {_some(matching)}; expected more of one")
    raise LineageError(f"run '{name}': there is none; the newest are {_some(runs)}, or say '{LATEST}'")


def to_run(context: metadata_store_pb2.Context) -> Run:
    """A run's record; one of an earlier version of this project has no properties, and another tool's its own."""
    found = to_properties(context)
    for name in AS_JSON:
        if name in found:
            found[name] = parsed(found[name])
    began = found.get(STARTED)
    started = to_time(began if isinstance(began, float) else context.create_time_since_epoch)
    origin = _origin(found)
    return Run(
        run_id=context.name,
        context_id=context.id,
        pipeline=found.get(PIPELINE),
        status=found.get(STATUS) or _unfinished(origin, started),
        started=started,
        seconds=found.get("seconds"),
        version=found.get("version"),
        metrics=found.get("metrics", {}),
        error=found.get("error"),
        origin=origin,
    )


def _origin(found: dict[str, Any]) -> Origin | None:
    if "command" not in found:
        return None
    fields: dict[str, Any] = {field.name: found.get(field.name) for field in dataclasses.fields(Origin)}
    return Origin(**fields)


def _unfinished(origin: Origin | None, started: datetime.datetime) -> str:
    """What a run that recorded no end is at."""
    if origin is None:
        return "unknown"
    if origin.host != socket.gethostname():
        return "unfinished"
    try:
        # A process of the same number that began later is another one.
        return "running" if psutil.Process(origin.pid).create_time() <= started.timestamp() else "interrupted"
    except psutil.NoSuchProcess:
        return "interrupted"


def _some(runs: Sequence[Run]) -> str:
    more = ", …" if len(runs) > SHOWN else ""
    return ", ".join(run.run_id for run in runs[:SHOWN]) + more
