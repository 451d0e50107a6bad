"""What a run writes of itself: properties of its context in ML Metadata."""

import contextlib
import dataclasses
import datetime
import json
from collections.abc import Mapping
from typing import Any

from ml_metadata import errors, metadata_store
from ml_metadata.proto import metadata_store_pb2

from lineage.graph.contexts import PIPELINE, RUN
from lineage.records import Ending, Origin

STARTED, STATUS = "started", "status"
# What JSON holds in one property each.
AS_JSON = ("settings", "versions", "metrics")


def begin(
    store: metadata_store.MetadataStore, pipeline: str, run_id: str, started: datetime.datetime, origin: Origin
) -> None:
    """Makes the run's context before the first node does, so that a run that is killed has its origin there.

    TFX's launcher takes contexts of these types and names for its own.
    """
    parent = _context(store, PIPELINE, pipeline)
    run = _context(store, RUN, run_id)
    _set(run, {PIPELINE: pipeline, STARTED: started.timestamp() * 1000.0, **dataclasses.asdict(origin)})
    store.put_contexts([run])
    with contextlib.suppress(errors.AlreadyExistsError):
        # TFX does this only for a context that it makes itself.
        store.put_parent_contexts([metadata_store_pb2.ParentContext(parent_id=parent.id, child_id=run.id)])


def end(store: metadata_store.MetadataStore, run_id: str, ending: Ending) -> None:
    """Adds how the run ended."""
    run = _context(store, RUN, run_id)
    _set(run, dataclasses.asdict(ending))
    store.put_contexts([run])


def _context(store: metadata_store.MetadataStore, kind: str, name: str) -> metadata_store_pb2.Context:
    """The context, made if need be; another run may be making it, or its type, at the same moment."""
    while True:
        found = store.get_context_by_type_and_name(kind, name)
        if found is not None:
            return found
        with contextlib.suppress(errors.AlreadyExistsError):
            kind_id = store.put_context_type(metadata_store_pb2.ContextType(name=kind))
            store.put_contexts([metadata_store_pb2.Context(type_id=kind_id, name=name)])


def _set(context: metadata_store_pb2.Context, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        property_value = context.custom_properties[name]
        match value:
            case None:
                del context.custom_properties[name]
            case bool():
                property_value.bool_value = value
            case int():
                property_value.int_value = value
            case float():
                property_value.double_value = value
            case str():
                property_value.string_value = value
            case _:
                property_value.string_value = json.dumps(value, sort_keys=True, default=str)
