"""The file in each pushed version that says where it came from, read with neither ML Metadata nor TensorFlow."""

import dataclasses
import datetime
import json
import os
from collections.abc import Mapping
from pathlib import Path

from lineage.recorded.origin import code_version, package_versions

FILE = "provenance.json"


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where a pushed version came from.

    Attributes:
        pipeline: The pipeline, and with it the problem.
        run_id: The run that pushed it.
        version: The version.
        model_id: The Trainer's model in ML Metadata; 0 where the orchestrator has no such number.
        model_uri: Its folder.
        pushed_uri: The folder of the push in ML Metadata.
        commit: Git commit of the code that pushed it; this and ``dirty`` are ``None`` where there is no checkout.
        dirty: Whether files that Git knows differed from it.
        versions: Versions of packages by name.
        pushed: When, in UTC.
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


def of_this_process(provenance: Provenance) -> Provenance:
    """The same with the code, the packages and the time of this process."""
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
        OSError: It cannot be written.
    """
    (folder / FILE).write_text(json.dumps(dataclasses.asdict(provenance), indent=2) + "\n")


def read_provenance(path: Path) -> Provenance | None:
    """What a version's folder, or a file in it, says of itself; ``None`` if it says nothing.

    Raises:
        ValueError: The file is there and is none of ours.
    """
    # Those of variables/ and assets/ lie a folder deeper. What is not there says nothing, whatever lies beside it.
    folders = (path.parent, path.parent.parent) if os.path.isfile(path) else (path,)
    files = [folder / FILE for folder in folders]
    file = next(filter(os.path.exists, files), None)
    return _read(file) if file else None


def _read(file: Path) -> Provenance:
    try:
        found = Provenance(**json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}; expected a file that can be read") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{file}: {error}; expected what the Pusher writes") from error
    for name in ("version", "model_uri", "pushed_uri"):
        if not isinstance(value := getattr(found, name), str):
            raise ValueError(f"{file}: found {name} {value!r}; expected a text, as the Pusher writes")
    return found
