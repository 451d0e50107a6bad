"""A folder for the temporary files of one run, which is removed even if the run is killed: by the next one."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

PREFIX = "onegraph-"
LINK = ".temporary"  # in the folder of the run
VARIABLE = "TMPDIR"


@contextlib.contextmanager
def temporary_folder(run_folder: Path) -> Iterator[Path]:
    """Creates a folder in which this process and its children create their temporary files inside the block.

    Beam, TFX and TensorFlow leave theirs behind when they are killed. The folder is in the system's folder for
    temporary files, because paths of sockets must be short. A link in the run's folder leads to it.

    Args:
        run_folder: The folder of the run.

    Raises:
        OSError: The folder cannot be created.
    """
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    (run_folder / LINK).symlink_to(folder)
    previous, previous_default = os.environ.get(VARIABLE), tempfile.tempdir
    os.environ[VARIABLE] = tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = previous_default
        if previous is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = previous
        remove_temporary_folders([run_folder])


def remove_temporary_folders(run_folders: Iterable[Path]) -> None:
    """Removes the temporary folders of runs that have ended, as far as possible."""
    for link in (folder / LINK for folder in run_folders):
        with contextlib.suppress(OSError):
            folder = Path(os.readlink(link))
            # Not what the link of a folder from elsewhere leads to.
            if folder.name.startswith(PREFIX) and folder.lstat().st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            link.unlink()
