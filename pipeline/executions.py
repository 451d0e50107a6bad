"""Whose execution is it? What ML Metadata's contexts say of one."""

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2


def node_context(store: metadata_store.MetadataStore, execution_id: int) -> metadata_store_pb2.Context:
    """The context of the node that an execution belongs to; it is named ``<pipeline>.<node>``."""
    return next(context for context in store.get_contexts_by_execution(execution_id) if context.type == "node")


def node_id(store: metadata_store.MetadataStore, execution_id: int) -> str:
    """The node that an execution belongs to."""
    return str(node_context(store, execution_id).name.partition(".")[2])
