"""Whose execution is it? What ML Metadata's contexts say of one."""

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

# Types of contexts, by TFX's names.
PIPELINE, RUN, NODE = "pipeline", "pipeline_run", "node"
FINISHED = (metadata_store_pb2.Execution.COMPLETE, metadata_store_pb2.Execution.CACHED)


def node_context(store: metadata_store.MetadataStore, execution_id: int) -> metadata_store_pb2.Context:
    """The context of the node that an execution belongs to; it is named ``<pipeline>.<node>``."""
    return next(context for context in store.get_contexts_by_execution(execution_id) if context.type == NODE)


def node_id(store: metadata_store.MetadataStore, execution_id: int) -> str:
    """The node that an execution belongs to."""
    return str(node_context(store, execution_id).name.partition(".")[2])


def executions_of(store: metadata_store.MetadataStore, run_id: str) -> dict[str, int]:
    """The newest execution of each node in a run, those that a partial run took over from an earlier one included."""
    context = store.get_context_by_type_and_name(RUN, run_id)
    executions: dict[str, int] = {}
    for execution in store.get_executions_by_context(context.id) if context else ():
        if execution.last_known_state in FINISHED:
            node = node_id(store, execution.id)
            executions[node] = max(execution.id, executions.get(node, 0))
    return executions
