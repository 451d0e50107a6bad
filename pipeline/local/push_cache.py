"""Checks whether the result of a cached Pusher is still valid."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from artifacts.names import SAVED_MODEL_FILE
from artifacts.nodes.push import is_version, read_push
from custom_components.pusher.device import is_complete
from lineage.queries.pushed_version import PUSHED_MODEL
from lineage.store.reader import MetadataReader
from pipeline.nodes import TFLITE_EXPORTER, TRAINER

PUSHED_OUTPUTS = ((TRAINER, "model"), (TFLITE_EXPORTER, "tflite_model"))


class PushFolders(NamedTuple):
    """Folders that versions are pushed to: the server's and the devices'."""

    serving: Path
    tflite: Path


def may_skip_push(reader: MetadataReader, folders: PushFolders, run_id: str) -> bool:
    """Returns whether the Pusher of a run may be cached, which is once all nodes upstream of it have finished.

    Args:
        reader: ML Metadata.
        folders: Where versions are pushed.
        run_id: The run. With ``--from``, it has the models of an earlier run.
    """
    executions = reader.finished_executions(run_id)
    models = [reader.output(executions[node], key) for node, key in PUSHED_OUTPUTS if node in executions]
    return (
        TRAINER in executions and all(models) and is_push_current(reader, folders, [each.id for each in models if each])
    )


def is_push_current(reader: MetadataReader, folders: PushFolders, artifacts: Collection[int]) -> bool:
    """Returns whether the newest version in each folder is complete, is the last push and was made from the artifacts.

    Otherwise a Pusher must not be cached, since it would push nothing. This happens if another model was pushed in the
    meantime, if the same model was pushed with another TFLite model, or if a folder was emptied.

    Args:
        reader: ML Metadata.
        folders: Where versions are pushed.
        artifacts: Ids of the artifacts to push: the model, and the TFLite model if there is one.
    """
    pushes = [
        (push, artifact.id)
        for artifact in reader.artifacts_of_type(PUSHED_MODEL)
        # Other problems may share the store. An output folder may have been moved, so only the end of a path counts.
        if (push := read_push(artifact.properties))
        and push.destination.endswith(f"/{folders.serving.name}/{push.version}")
    ]
    if not pushes:
        return True
    last, artifact_id = max(pushes, key=lambda pair: int(pair[0].version))
    version = last.version
    if _newest_version(folders.serving) != version or not (folders.serving / version / SAVED_MODEL_FILE).is_file():
        return False
    if last.tflite and not (_newest_version(folders.tflite) == version and is_complete(folders.tflite / version)):
        return False
    pushers = {each.execution_id for each in reader.events_of_artifacts([artifact_id]) if each.direction == "output"}
    inputs = {each.artifact_id for each in reader.events_of_executions(pushers) if each.direction == "input"}
    return set(artifacts) <= inputs


def _newest_version(folder: Path) -> str | None:
    return max((path.name for path in folder.glob("*") if is_version(path.name)), key=int, default=None)
