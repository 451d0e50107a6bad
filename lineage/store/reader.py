"""Reads one store of ML Metadata."""

from collections.abc import Collection, Iterable

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from lineage.records import Artifact, Direction, Event, Execution, RunRecord
from lineage.store.messages import (
    NODE_CONTEXT,
    PIPELINE_CONTEXT,
    RUN_CONTEXT,
    to_artifact,
    to_events,
    to_execution,
)
from lineage.store.run_records import to_run_record

CACHED = metadata_store_pb2.Execution.CACHED
FINISHED = (metadata_store_pb2.Execution.COMPLETE, CACHED)
FIRST, GROWTH = 16, 8  # executions of the first query for an earlier one, and how many times more in each further one


class MetadataReader:
    """Reads runs, nodes, executions, artifacts and events as records.

    A method that takes many ids makes one query for all of them, except :meth:`executions`, which needs one more query
    per execution for its contexts. :class:`lineage.graph.walker.GraphWalker` follows the events.
    """

    def __init__(self, store: metadata_store.MetadataStore, store_name: str = "ML Metadata") -> None:
        """Reads from an open store. :func:`lineage.store.connection.open_reader` opens that of an output folder.

        Args:
            store: ML Metadata.
            store_name: Name of the store in error messages, such as its output folder.
        """
        self._store = store
        self.store_name = store_name

    # Runs

    def runs(self) -> list[RunRecord]:
        """Returns the runs of all pipelines, newest first, with one query."""
        contexts = self._store.get_contexts_by_type(RUN_CONTEXT)
        ordered = sorted(contexts, key=lambda each: (each.create_time_since_epoch, each.id), reverse=True)
        return [to_run_record(each) for each in ordered]

    def run(self, run_id: str) -> RunRecord | None:
        """Returns a run."""
        context = self._store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
        return to_run_record(context) if context else None

    def runs_by_id(self, run_ids: Iterable[str]) -> dict[str, RunRecord]:
        """Returns several runs by their names, without those that are not in the store. One query per run."""
        return {run_id: run for run_id in run_ids if (run := self.run(run_id))}

    def run_of(self, execution_id: int) -> str:
        """Returns the name of the first run of an execution."""
        return self._context_of(execution_id, RUN_CONTEXT).name

    def executions_of_run(self, run: RunRecord) -> list[int]:
        """Returns the ids of a run's executions, with those that it reused from an earlier run."""
        return [each.id for each in self._store.get_executions_by_context(run.context_id)]

    def finished_executions(self, run_id: str) -> dict[str, int]:
        """Returns the newest finished execution of each node in a run, with those reused from an earlier run."""
        context = self._store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
        newest: dict[str, int] = {}
        for execution in self._store.get_executions_by_context(context.id) if context else ():
            if execution.last_known_state in FINISHED:
                node = self.node_of(execution.id)
                newest[node] = max(execution.id, newest.get(node, 0))
        return newest

    # Nodes

    def nodes(self) -> list[str]:
        """Returns the nodes of all pipelines in the order of their first executions."""
        contexts = sorted(self._store.get_contexts_by_type(NODE_CONTEXT), key=lambda each: each.id)
        return list(dict.fromkeys(_node_name(context) for context in contexts))

    def node_of(self, execution_id: int) -> str:
        """Returns the node of an execution."""
        return _node_name(self._context_of(execution_id, NODE_CONTEXT))

    def newest_executions(self, node: str, limit: int) -> list[int]:
        """Returns the ids of a node's newest executions in each pipeline."""
        contexts = self._contexts_of_node(node)
        options = _newest(limit)
        return [each.id for context in contexts for each in self._store.get_executions_by_context(context.id, options)]

    def newest_events(self, node: str, limit: int) -> list[Event]:
        """Returns the events of a node's newest executions in each pipeline, newest first."""
        events = self.events_of_executions(self.newest_executions(node, limit))
        return sorted(events, key=lambda event: event.execution_id, reverse=True)

    def newest_artifacts(self, node: str, limit: int) -> list[Artifact]:
        """Returns a node's newest artifacts in each pipeline, inputs included, newest first."""
        found: dict[int, Artifact] = {}
        for context in self._contexts_of_node(node):
            for each in self._store.get_artifacts_by_context(context.id, list_options=_newest(limit)):
                found[each.id] = to_artifact(each)
        return [found[artifact_id] for artifact_id in sorted(found, reverse=True)]

    def previous_execution(self, execution_id: int, finished: bool = False) -> int | None:
        """Returns the newest execution of the same node before another one.

        Args:
            execution_id: The other execution.
            finished: Only consider executions that finished.
        """
        context = self._context_of(execution_id, NODE_CONTEXT)
        limit = FIRST
        while True:
            newest = self._store.get_executions_by_context(context.id, _newest(limit))
            earlier = [
                each.id
                for each in newest
                if each.id < execution_id and (not finished or each.last_known_state in FINISHED)
            ]
            if earlier or len(newest) < limit:
                return max(earlier, default=None)
            limit *= GROWTH

    # Inputs and outputs

    def input(self, execution_id: int, key: str) -> Artifact | None:
        """Returns the first artifact of an execution's input, which may be one that it only compared with."""
        return self._first_artifact(execution_id, key, "input", "reference")

    def output(self, execution_id: int, key: str) -> Artifact | None:
        """Returns the first artifact of an execution's output."""
        return self._first_artifact(execution_id, key, "output")

    # By id or type

    def artifacts(self, ids: Collection[int]) -> list[Artifact]:
        """Returns artifacts, without those that are not in the store."""
        return [to_artifact(each) for each in self._store.get_artifacts_by_id(list(ids))] if ids else []

    def artifacts_at(self, uri: str) -> list[Artifact]:
        """Returns the artifacts of a folder."""
        return [to_artifact(each) for each in self._store.get_artifacts_by_uri(uri)]

    def artifacts_of_type(self, type_name: str) -> list[Artifact]:
        """Returns all artifacts of a type, such as ``PushedModel``."""
        return [to_artifact(each) for each in self._store.get_artifacts_by_type(type_name)]

    def executions(self, ids: Collection[int]) -> list[Execution]:
        """Returns executions, without those that are not in the store. One query per execution for its contexts."""
        messages = self._store.get_executions_by_id(list(ids)) if ids else ()
        return [to_execution(each, self._store.get_contexts_by_execution(each.id)) for each in messages]

    def without_cached(self, ids: Collection[int]) -> list[int]:
        """Returns the executions among ``ids`` that are in the store and were not cached."""
        messages = self._store.get_executions_by_id(list(ids)) if ids else ()
        return [each.id for each in messages if each.last_known_state != CACHED]

    def events_of_artifacts(self, ids: Collection[int]) -> list[Event]:
        """Returns all events of artifacts."""
        return to_events(self._store.get_events_by_artifact_ids(list(ids))) if ids else []

    def events_of_executions(self, ids: Collection[int]) -> list[Event]:
        """Returns all events of executions."""
        return to_events(self._store.get_events_by_execution_ids(list(ids))) if ids else []

    def _first_artifact(self, execution_id: int, key: str, *directions: Direction) -> Artifact | None:
        events = self.events_of_executions([execution_id])
        found = [event for event in events if event.direction in directions and event.key == key]
        first = min(found, key=lambda event: event.index, default=None)
        return next(iter(self.artifacts([first.artifact_id])), None) if first else None

    def _context_of(self, execution_id: int, type_name: str) -> metadata_store_pb2.Context:
        return next(each for each in self._store.get_contexts_by_execution(execution_id) if each.type == type_name)

    def _contexts_of_node(self, node: str) -> list[metadata_store_pb2.Context]:
        """Returns the context of a node in each pipeline."""
        names = [f"{pipeline.name}.{node}" for pipeline in self._store.get_contexts_by_type(PIPELINE_CONTEXT)]
        found = [self._store.get_context_by_type_and_name(NODE_CONTEXT, name) for name in names]
        return [context for context in found if context]


def _newest(limit: int) -> metadata_store.ListOptions:
    """Limits a list to its newest ``limit`` entries, newest first."""
    return metadata_store.ListOptions(limit=limit, order_by=metadata_store.OrderByField.ID, is_asc=False)


def _node_name(context: metadata_store_pb2.Context) -> str:
    """Returns the node in the name of a context, which is ``<pipeline>.<node>``."""
    return str(context.name.partition(".")[2])
