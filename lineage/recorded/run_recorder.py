"""Writes a run's record: properties of its context in ML Metadata, which :mod:`lineage.store.run_records` reads."""

import contextlib
import dataclasses
import datetime
import json
from collections.abc import Mapping
from typing import Any

from ml_metadata import errors, metadata_store
from ml_metadata.proto import metadata_store_pb2

from lineage.records import Origin
from lineage.store.messages import PIPELINE_CONTEXT, RUN_CONTEXT
from lineage.store.run_records import STARTED, STATUS


class RunRecorder:
    """Writes the record of one run."""

    def __init__(self, store: metadata_store.MetadataStore, run_id: str) -> None:
        """Writes to a store that is open.

        Args:
            store: ML Metadata.
            run_id: Name of the run.
        """
        self._store = store
        self._run_id = run_id

    def begin(self, pipeline: str, started: datetime.datetime, origin: Origin) -> None:
        """Creates the run's context before the first node does, so that a killed run has its origin there.

        TFX's launcher reuses contexts with these types and names.
        """
        parent = self._context(PIPELINE_CONTEXT, pipeline)
        run = self._context(RUN_CONTEXT, self._run_id)
        values = {PIPELINE_CONTEXT: pipeline, STARTED: started.timestamp() * 1000.0, **dataclasses.asdict(origin)}
        _set_properties(run, values)
        self._store.put_contexts([run])
        with contextlib.suppress(errors.AlreadyExistsError):
            # TFX only does this for a context that it creates.
            self._store.put_parent_contexts([metadata_store_pb2.ParentContext(parent_id=parent.id, child_id=run.id)])

    def end(
        self,
        status: str,
        seconds: float | None = None,
        version: str | None = None,
        metrics: Mapping[str, float] | None = None,
        error: str | None = None,
    ) -> None:
        """Adds the result of the run.

        Args:
            status: The status in ``summary.json``, or ``interrupted``.
            seconds: Wall time, imports included, or ``None`` for a killed run.
            version: The pushed version, or ``None`` if nothing was pushed.
            metrics: Metrics of the candidate on the eval split, overall slice.
            error: Why the run failed, in one line.
        """
        run = self._context(RUN_CONTEXT, self._run_id)
        values = {STATUS: status, "seconds": seconds, "version": version, "metrics": metrics or {}, "error": error}
        _set_properties(run, values)
        self._store.put_contexts([run])

    def add_version(self, version: str) -> None:
        """Adds the version that the run pushed before it was interrupted."""
        run = self._context(RUN_CONTEXT, self._run_id)
        _set_properties(run, {"version": version})
        self._store.put_contexts([run])

    def _context(self, type_name: str, name: str) -> metadata_store_pb2.Context:
        """Returns a context, created if needed. Another run may be creating it, or its type, at the same moment."""
        while True:
            found = self._store.get_context_by_type_and_name(type_name, name)
            if found is not None:
                return found
            with contextlib.suppress(errors.AlreadyExistsError):
                type_id = self._store.put_context_type(metadata_store_pb2.ContextType(name=type_name))
                self._store.put_contexts([metadata_store_pb2.Context(type_id=type_id, name=name)])


def _set_properties(context: metadata_store_pb2.Context, values: Mapping[str, Any]) -> None:
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
