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
from pipeline.local.push_recovery import recover_push
from pipeline.nodes import PUSHER
from pipeline.results.run_folder import failed_runs

WORKING_FOLDERS = ("stateful_working_dir", "driver_execution")
UNFINISHED = (metadata_store_pb2.Execution.NEW, metadata_store_pb2.Execution.RUNNING)


def clean_up(
    store: metadata_store.MetadataStore, output: Path, artifacts_dir: Path, interrupted: Iterable[str]
) -> None:
    """Cleans up after earlier runs that were killed, or that failed together with ML Metadata. Nothing may be running.

    Args:
        store: ML Metadata.
        output: The output folder.
        artifacts_dir: Root folder of the artifacts.
        interrupted: Runs that ended without a summary.

    Raises:
        OSError: A file cannot be removed.
    """
    close_interrupted(store, interrupted, artifacts_dir)
    close_interrupted(store, failed_runs(output), artifacts_dir, "failed")
    remove_working_folders(artifacts_dir)


def close_interrupted(
    store: metadata_store.MetadataStore, run_ids: Iterable[str], artifacts_dir: Path, status: str = "interrupted"
) -> list[str]:
    """Gives runs without a status one, marks their unfinished nodes as failed, and removes partial outputs.

    Args:
        store: ML Metadata.
        run_ids: Runs that ended without a summary, or that failed. None of them may still be running.
        artifacts_dir: Root folder of the artifacts.
        status: The status.

    Returns:
        Names of the nodes that were interrupted. A Pusher that had pushed a complete version is not among them.
    """
    reader = MetadataReader(store)
    interrupted = []
    for run_id in run_ids:
        context = store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
        if context is None:
            continue
        if STATUS not in context.custom_properties:
            RunRecorder(store, run_id).end(status)
        for execution in store.get_executions_by_context(context.id):
            if execution.last_known_state not in UNFINISHED:
                continue
            node = reader.node_of(execution.id)
            version = recover_push(store, execution, run_id, artifacts_dir / node) if node == PUSHER else None
            if version:
                RunRecorder(store, run_id).add_version(version)
                _remove_system_files(artifacts_dir / node, execution.id)
                logging.warning("Run %s ended after it had pushed version %s. Recorded the version.", run_id, version)
                continue
            execution.last_known_state = metadata_store_pb2.Execution.FAILED
            store.put_executions([execution])
            remove_outputs(artifacts_dir / node, execution.id)
            interrupted.append(node)
            logging.warning("%s was not recorded in run %s. Closed execution %d.", node, run_id, execution.id)
    return interrupted


def remove_working_folders(artifacts_dir: Path) -> None:
    """Removes the folders that TFX creates and leaves behind: an executor's if it fails or is killed, and any driver's.

    Nothing may be running.
    """
    for kind in WORKING_FOLDERS:
        for folder in artifacts_dir.glob(f"*/.system/{kind}/*"):
            shutil.rmtree(folder)


def remove_outputs(node_dir: Path, execution_id: int) -> None:
    """Removes outputs from ``<node>/<key>/<execution>``, and TFX's own files from ``<node>/.system``.

    Args:
        node_dir: Folder of the node.
        execution_id: The execution.

    Raises:
        OSError: A file cannot be removed.
    """
    for folder in node_dir.glob(f"*/{execution_id}"):
        shutil.rmtree(folder)
    _remove_system_files(node_dir, execution_id)


def _remove_system_files(node_dir: Path, execution_id: int) -> None:
    for folder in node_dir.glob(f".system/*/{execution_id}"):
        shutil.rmtree(folder)
