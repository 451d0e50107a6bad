"""What ML Metadata knows by node: its newest executions and artifacts, in all pipelines of a store."""

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from lineage.graph.contexts import NODE, PIPELINE
from lineage.graph.convert import to_artifact, to_link
from lineage.records import Artifact, Link


def newest(limit: int) -> metadata_store.ListOptions:
    """Has a list hold its newest ``limit``, newest first."""
    return metadata_store.ListOptions(limit=limit, order_by=metadata_store.OrderByField.ID, is_asc=False)


def node_artifacts(store: metadata_store.MetadataStore, node: str, limit: int) -> list[Artifact]:
    """The newest ``limit`` artifacts of a node in each pipeline, those that went in too, newest first."""
    found: dict[int, Artifact] = {}
    for context in contexts_of(store, node):
        for each in store.get_artifacts_by_context(context.id, list_options=newest(limit)):
            found[each.id] = to_artifact(each)
    return [found[number] for number in sorted(found, reverse=True)]


def newest_executions(store: metadata_store.MetadataStore, node: str, limit: int) -> list[int]:
    """Ids of the newest ``limit`` executions of a node in each pipeline."""
    contexts = contexts_of(store, node)
    return [each.id for context in contexts for each in store.get_executions_by_context(context.id, newest(limit))]


def newest_links(store: metadata_store.MetadataStore, node: str, limit: int) -> list[Link]:
    """Links of the newest ``limit`` executions of a node in each pipeline, newest first."""
    ids = newest_executions(store, node, limit)
    events = store.get_events_by_execution_ids(ids) if ids else ()
    links = [link for event in events if (link := to_link(event))]
    return sorted(links, key=lambda link: link.execution_id, reverse=True)


def contexts_of(store: metadata_store.MetadataStore, node: str) -> list[metadata_store_pb2.Context]:
    """A node's context in each pipeline."""
    names = [f"{pipeline.name}.{node}" for pipeline in store.get_contexts_by_type(PIPELINE)]
    found = [store.get_context_by_type_and_name(NODE, name) for name in names]
    return [context for context in found if context]


def all_nodes(store: metadata_store.MetadataStore) -> list[str]:
    """The nodes of all pipelines, by when they first ran."""
    contexts = sorted(store.get_contexts_by_type(NODE), key=lambda each: each.id)
    return list(dict.fromkeys(context.name.partition(".")[2] for context in contexts))
