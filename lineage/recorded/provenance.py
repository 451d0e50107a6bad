"""``provenance.json``: where a pushed version came from, readable with neither ML Metadata nor TensorFlow."""

import dataclasses
import datetime
import json
import os
from collections.abc import Mapping
from pathlib import Path

from artifacts.names import PROVENANCE_FILE
from lineage.recorded.origin import code_version, package_versions


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where a pushed version came from.

    Attributes:
        pipeline: Name of the pipeline, which is the problem's name.
        run_id: The run that pushed it.
        version: The version.
        model_id: Id of the Trainer's model in ML Metadata, or 0 if the orchestrator has no such id.
        model_uri: Folder of the Trainer's model.
        pushed_uri: Folder of the pushed model's artifact.
        commit: Git commit of the code that pushed it, or ``None`` without Git.
        dirty: Whether tracked files differed from the commit, or ``None`` without Git.
        versions: Package versions by name.
        pushed: When it was pushed, in UTC.
    """

    pipeline: str | None
    run_id: str | None
    version: str
    model_id: int
    model_uri: str
    pushed_uri: str
    commit: str | None = None
    dirty: bool | None = None
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    pushed: str = ""


def with_code_and_time(provenance: Provenance) -> Provenance:
    """Adds this process's code version and packages, and the current time."""
    code, now = code_version(), datetime.datetime.now(datetime.UTC)
    return dataclasses.replace(
        provenance,
        commit=code.commit,
        dirty=code.dirty,
        versions=package_versions(),
        pushed=now.isoformat(timespec="seconds"),
    )


def write_provenance(folder: Path, provenance: Provenance) -> None:
    """Writes the file into a version's folder.

    Raises:
        OSError: The file cannot be written.
    """
    (folder / PROVENANCE_FILE).write_text(json.dumps(dataclasses.asdict(provenance), indent=2) + "\n")


def read_provenance(path: Path) -> Provenance | None:
    """Reads the provenance of a version.

    Args:
        path: The version's folder or a file in it.

    Returns:
        The provenance, or ``None`` if the folder has no such file.

    Raises:
        ValueError: The file cannot be read, or the Pusher did not write it.
    """
    # Files in variables/ and assets/ are one folder deeper. A path that does not exist is not a version's file, even
    # if its folder has a provenance file.
    folders = (path.parent, path.parent.parent) if os.path.isfile(path) else (path,)
    files = [folder / PROVENANCE_FILE for folder in folders]
    file = next(filter(os.path.exists, files), None)
    return _read(file) if file else None


def _read(file: Path) -> Provenance:
    try:
        found = Provenance(**json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}; expected a readable file") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{file}: {error}; expected the JSON that the Pusher writes") from error
    for name in ("version", "model_uri", "pushed_uri"):
        if not isinstance(value := getattr(found, name), str):
            raise ValueError(f"{file}: found {name} {value!r}; expected a string, as the Pusher writes it")
    return found
