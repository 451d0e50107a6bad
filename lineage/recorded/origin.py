"""Collects what a run starts from: code version, settings, command line, user and machine."""

import functools
import getpass
import hashlib
import importlib.metadata
import os
import platform
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from common.project import ROOT
from lineage.records import Origin

LOCK = "requirements.lock"
PACKAGES = ("tfx", "tensorflow", "apache-beam", "ml-metadata")
GIT_TIMEOUT_SECONDS = 20.0  # enough for a checkout on a slow network drive
HIDDEN = "***"
SECRET = re.compile(r"passw(or)?d|secret", re.IGNORECASE)
# The value after a key such as metadata.password=, and the password in an address such as mysql://user:password@host.
SECRET_VALUE = re.compile(r"((?:passw(?:or)?d|secret)\w*['\"]?\s*[=:]\s*)[^\s,}]+", re.IGNORECASE)
SECRET_ADDRESS = re.compile(r"(://[^/\s:@]*:)[^/\s@]+(@)")


class CodeVersion(NamedTuple):
    """Version of the code. Both fields are ``None`` without Git.

    Attributes:
        commit: Git commit of the checkout.
        dirty: Whether tracked files differ from the commit.
    """

    commit: str | None
    dirty: bool | None


def collect_origin(settings: Mapping[str, Any], command: Sequence[str] | None = None) -> Origin:
    """Collects what the run in this process starts from.

    Args:
        settings: All settings in effect. Passwords are removed.
        command: The command line, by default that of this process.
    """
    code = code_version()
    return Origin(
        commit=code.commit,
        dirty=code.dirty,
        lock=_digest(ROOT / LOCK),
        command=_without_secrets(shlex.join(command or sys.orig_argv)),
        settings=_hide(settings),
        user=_user(),
        host=socket.gethostname(),
        pid=os.getpid(),
        python=platform.python_version(),
        versions=package_versions(),
    )


@functools.cache
def code_version(root: Path = ROOT) -> CodeVersion:
    """Returns the version of the code in a folder, cached so that a push has the commit that its run started from."""
    found = _git(root, "rev-parse", "--show-toplevel", "HEAD")
    if found is None:
        return CodeVersion(None, None)
    top, commit = found.splitlines()
    if Path(top).resolve() != root:  # unpacked inside another project's checkout
        return CodeVersion(None, None)
    changes = _git(root, "--no-optional-locks", "status", "--porcelain", "--untracked-files=no")
    return CodeVersion(commit, None if changes is None else bool(changes))


def package_versions() -> dict[str, str]:
    """Returns the versions of the packages that a model depends on."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _git(root: Path, *arguments: str) -> str | None:
    """Returns what Git prints, stripped, or ``None`` if Git is not installed or fails."""
    # In a Git hook these variables name the hook's repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        result = subprocess.run(  # noqa: S603 - the arguments are ours
            ["git", "-C", str(root), *arguments],  # noqa: S607 - found on the PATH
            env=environment,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        return str(os.getuid())


def _hide(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _hide(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_hide(inner, name) for inner in value]
    if SECRET.search(name) and value is not None:
        return HIDDEN
    return SECRET_ADDRESS.sub(rf"\1{HIDDEN}\2", value) if isinstance(value, str) else value


def _without_secrets(command: str) -> str:
    return SECRET_ADDRESS.sub(rf"\1{HIDDEN}\2", SECRET_VALUE.sub(rf"\1{HIDDEN}", command))
