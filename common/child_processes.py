"""Child processes of this project: where they import from, how they reach this machine, and how they end."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence

import psutil

from common import with_parent
from common.loopback import without_proxy_for_loopback
from common.project import ROOT
from common.with_parent import end_with_parent

POLL_SECONDS = 1.0
GRACE_SECONDS = 5.0  # from SIGTERM to SIGKILL


def python_module(module: str, *arguments: str) -> list[str]:
    """Returns the command that runs a module of this project. Run it with :func:`child_environment`.

    ``python -m`` alone would import from the current folder first, which may have packages of the same names.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def ending_with_this_process(command: Sequence[str]) -> list[str]:
    """Returns the command of a child process that is killed when this process ends, even by SIGKILL.

    The thread that starts it must wait for it. The child process is only killed on Linux.
    """
    return [sys.executable, "-I", with_parent.__file__, str(os.getpid()), *command]


def child_environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns the environment variables of a Python child process.

    It imports what this process can import, but nothing from its current folder, and so do its own child processes. It
    connects to this machine directly, even if the user has set a proxy.

    Args:
        variables: Further variables.
    """
    paths = dict.fromkeys([str(ROOT), *filter(None, sys.path)])  # a network function may be in another folder
    isolated = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}
    return {**os.environ, **without_proxy_for_loopback(os.environ), **isolated, **(variables or {})}


def prepare_environment() -> None:
    """Changes the environment of this process as in :func:`child_environment`, for children that libraries start."""
    ensure_home()
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = dict.fromkeys([str(ROOT), *filter(None, inherited)])
    os.environ.update(without_proxy_for_loopback(os.environ))
    os.environ.update({"PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"})


def ensure_home() -> None:
    """Sets a home folder for a user that has neither one nor a name, as in some containers.

    Libraries look there for their settings when they are imported.
    """
    if os.path.expanduser("~") == "~":
        os.environ["HOME"] = str(ROOT / ".cache/home")


def exit_description(code: int, memory_hint: str = "") -> str:
    """Describes how a process ended.

    Args:
        code: Its exit code, negative for a signal.
        memory_hint: How to use less memory.

    >>> exit_description(-9)
    'was killed (SIGKILL; check whether the machine runs out of memory)'
    >>> exit_description(3)
    'exited with code 3'
    """
    if code == -signal.SIGKILL:
        more = f", or {memory_hint}" if memory_hint else ""
        return f"was killed (SIGKILL; check whether the machine runs out of memory{more})"
    if code < 0:
        known = {each.value: each.name for each in signal.Signals}
        return f"was stopped by {known.get(-code, f'signal {-code}')}"
    return f"exited with code {code}"


def end_children() -> None:
    """Ends all descendants of this process and waits for them."""
    children = psutil.Process().children(recursive=True)
    for each in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.terminate()
    _, left = psutil.wait_procs(children, GRACE_SECONDS)
    for each in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(left, GRACE_SECONDS)


def exit_with_parent(parent: int) -> None:
    """Ends this process once its parent has ended: at once on Linux, and within a second elsewhere.

    Args:
        parent: Process ID of the parent, whose starting thread must wait for this process.
    """
    end_with_parent(parent)
    threading.Thread(target=_wait_for_end, args=(parent,), daemon=True).start()


def _wait_for_end(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)
