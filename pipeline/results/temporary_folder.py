"""A folder for the temporary files of one run, which is removed even if the run is killed: by the next one."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

PREFIX = "onegraph-"
LINK = ".temporary"  # in the folder of the run
LOCK = ".lock"  # in the temporary folder. Its process has locked it until it ends.
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
    lock = (folder / LOCK).open("w")
    with contextlib.suppress(OSError):  # some file systems have no locks
        fcntl.lockf(lock, fcntl.LOCK_EX)
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
        lock.close()


def remove_temporary_folders(run_folders: Iterable[Path]) -> None:
    """Removes the temporary folders of this run, or of runs that have ended, as far as possible.

    The folder of a copied run may be that of a run which is still going on elsewhere. It is kept.
    """
    for link in (folder / LINK for folder in run_folders):
        with contextlib.suppress(OSError):
            folder = Path(os.readlink(link))
            # Not what the link of a folder from elsewhere leads to.
            if folder.name.startswith(PREFIX) and folder.lstat().st_uid == os.getuid() and not _is_used(folder):
                shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            link.unlink()


def _is_used(folder: Path) -> bool:
    """Returns whether another process uses a folder. This kind of lock does not exclude its own process."""
    try:
        with (folder / LOCK).open("r+") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:  # it is locked, or cannot be
        return True
    return False
