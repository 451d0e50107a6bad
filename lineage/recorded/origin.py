"""What a run is started from: code, settings, command line, machine."""

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
GIT_SECONDS = 20.0  # a checkout on a slow network drive
HIDDEN = "***"
SECRET = re.compile(r"passw(or)?d|secret", re.IGNORECASE)
# The value behind a key such as metadata.password=, and what stands between the name and the host in an address.
SECRET_VALUE = re.compile(r"((?:passw(?:or)?d|secret)\w*['\"]?\s*[=:]\s*)[^\s,}]+", re.IGNORECASE)
SECRET_ADDRESS = re.compile(r"(://[^/\s:@]*:)[^/\s@]+(@)")


class CodeVersion(NamedTuple):
    """Git's commit of the checkout, and whether files that Git knows differ from it; none where there is no Git."""

    commit: str | None
    dirty: bool | None


def origin(settings: Mapping[str, Any], command: Sequence[str] | None = None) -> Origin:
    """What the run in this process is started from.

    Args:
        settings: All settings in effect; what passwords they hold is left out.
        command: The command line; this process's by default.
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
    """The version of the code in a folder; asked once, so that a push names the commit that its run began with."""
    found = _git(root, "rev-parse", "--show-toplevel", "HEAD")
    if found is None:
        return CodeVersion(None, None)
    top, commit = found.splitlines()
    if Path(top).resolve() != root:  # unpacked inside another project's checkout, whose commit says nothing of it
        return CodeVersion(None, None)
    changes = _git(root, "--no-optional-locks", "status", "--porcelain", "--untracked-files=no")
    return CodeVersion(commit, None if changes is None else bool(changes))


def package_versions() -> dict[str, str]:
    """Versions of what decides how a model comes out."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _git(root: Path, *arguments: str) -> str | None:
    """What Git prints, stripped; none if it is not there or refuses."""
    # A hook that starts a run hands on its own repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        result = subprocess.run(  # noqa: S603 - our own arguments
            ["git", "-C", str(root), *arguments],  # noqa: S607 - wherever the user has it
            env=environment,
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
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
    except (KeyError, OSError):  # a container's user without a name
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
