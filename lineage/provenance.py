"""The file in each pushed version that says where it came from, read with neither ML Metadata nor TensorFlow."""

import dataclasses
import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lineage.origin import code_version, package_versions

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
    file = (path if path.is_dir() else path.parent) / FILE
    try:
        found: Any = json.loads(file.read_text())
        return Provenance(**found)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}; expected a file that can be read") from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file}: {error}; expected what the Pusher writes") from error
