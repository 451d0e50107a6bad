"""Cleans up ML Metadata and the artifacts after a run that was killed."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from absl import logging
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from lineage.recorded.run_recorder import RunRecorder
from lineage.store.messages import RUN_CONTEXT
from lineage.store.reader import MetadataReader
from lineage.store.run_records import STATUS

UNFINISHED = (metadata_store_pb2.Execution.NEW, metadata_store_pb2.Execution.RUNNING)


def close_interrupted(store: metadata_store.MetadataStore, run_ids: Iterable[str], artifacts_dir: Path) -> list[str]:
    """Marks the runs as interrupted and their unfinished nodes as failed, and removes partial outputs.

    Args:
        store: ML Metadata.
        run_ids: Runs that ended without a summary. None of them may still be running.
        artifacts_dir: Root folder of the artifacts.

    Returns:
        Names of the nodes that were interrupted.
    """
    reader = MetadataReader(store)
    interrupted = []
    for run_id in run_ids:
        context = store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
        if context is None:
            continue
        if STATUS not in context.custom_properties:
            RunRecorder(store, run_id).end("interrupted")
        for execution in store.get_executions_by_context(context.id):
            if execution.last_known_state in UNFINISHED:
                execution.last_known_state = metadata_store_pb2.Execution.FAILED
                store.put_executions([execution])
                node = reader.node_of(execution.id)
                remove_outputs(artifacts_dir / node, execution.id)
                interrupted.append(node)
                logging.warning("%s was interrupted in run %s. Closed execution %d.", node, run_id, execution.id)
    return interrupted


def remove_outputs(node_dir: Path, execution_id: int) -> None:
    """Removes outputs from ``<node>/<key>/<execution>``, and TFX's own files from ``<node>/.system``.

    Args:
        node_dir: Folder of the node.
        execution_id: The execution.

    Raises:
        OSError: A file cannot be removed.
    """
    for folder in [*node_dir.glob(f"*/{execution_id}"), *node_dir.glob(f".system/*/{execution_id}")]:
        shutil.rmtree(folder)
