"""The environment of the servers to compare with, which are not dependencies of this project."""

import hashlib
import subprocess
import sys
import sysconfig
from pathlib import Path

from common.project import ROOT

LOCK = Path(__file__).with_name("requirements.lock")
FOLDER = ROOT / ".cache/benchmarks/servers"


def servers_python() -> Path:
    """Returns the interpreter of the environment, which is installed on first use and when the lock file changes.

    Raises:
        subprocess.CalledProcessError: It cannot be installed.
    """
    python, stamp = FOLDER / "bin/python", FOLDER / "installed"
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not (stamp.exists() and stamp.read_text() == digest):
        print("Installing LitServe and MLServer into .cache/benchmarks ...", flush=True)
        uv = [str(Path(sysconfig.get_path("scripts")) / "uv"), "--quiet", "--cache-dir", str(ROOT / ".cache/uv")]
        base = Path(sys.base_prefix) / "bin/python3.11"
        subprocess.run([*uv, "venv", "--clear", "--python", str(base), str(FOLDER)], check=True)  # noqa: S603
        sync = ["pip", "sync", "--python", str(python), "--require-hashes", str(LOCK)]
        subprocess.run([*uv, *sync], check=True)  # noqa: S603
        stamp.write_text(digest)
    return python
