"""Starts Python commands in processes forked from one that has imported TFX, which saves each of them the imports.

A command runs in a process of its own, with its own arguments, environment, working folder and output, as if a shell
had started it. Tests of imports, and of what libraries print during them, start it with ``subprocess`` instead.
"""

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import connection, forkserver
from pathlib import Path

from common.project import ROOT

SUPPORT = Path(__file__).parent
# Modules that the server imports. It starts with the first command.
PRELOADED = ["forked_imports"]
_context = multiprocessing.get_context("forkserver")
_lock = threading.Lock()  # multiprocessing's processes are not thread-safe


class Forked:
    """A running command, with the methods of ``subprocess.Popen`` that tests use.

    Attributes:
        pid: Its process ID.
    """

    def __init__(
        self,
        command: Sequence[str],
        stdout: str = os.devnull,
        stderr: str = os.devnull,
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
        own_session: bool = False,
    ) -> None:
        """Starts the command.

        Args:
            command: ``python [-P] SCRIPT …`` or ``python [-P] -m MODULE …``.
            stdout: File to which its standard output is appended.
            stderr: File to which its standard error is appended.
            cwd: Its working folder.
            env: Its environment variables. The default is those of this process.
            own_session: Whether it leads a new session, as with ``start_new_session``.
        """
        python, *arguments = command
        assert python == sys.executable, command
        with _lock:
            _start_server()
            self._process = _context.Process(
                target=_execute, args=(arguments, stdout, stderr, str(cwd), dict(env or os.environ), own_session)
            )
            self._process.start()
        assert self._process.pid
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Returns the exit code, or ``None`` while it runs."""
        with _lock:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end, and returns the exit code."""
        connection.wait([self._process.sentinel], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def kill(self) -> None:
        """Sends SIGKILL, unless it has ended."""
        with _lock:
            self._process.kill()


def run(
    command: Sequence[str], cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Runs a command to its end."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = f"{folder}/out", f"{folder}/err"
        process = Forked(command, out, err, cwd, env)
        try:
            code = process.wait()
        finally:
            process.kill()
        return subprocess.CompletedProcess(list(command), code, Path(out).read_text(), Path(err).read_text())


def _start_server() -> None:
    """Starts the process to fork from, unless it is running."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(SUPPORT)])  # it does not get this process's sys.path
    try:
        _context.set_forkserver_preload(PRELOADED)
        forkserver.ensure_running()
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


def _execute(arguments: list[str], stdout: str, stderr: str, cwd: str, env: dict[str, str], own_session: bool) -> None:
    """Runs a command in this process, which is new."""
    if own_session:
        os.setsid()
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    for path, number in ((stdout, 1), (stderr, 2)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(descriptor, number)
        os.close(descriptor)
    is_safe = arguments[0] == "-P" or "PYTHONSAFEPATH" in env
    program = arguments[1:] if arguments[0] == "-P" else arguments
    is_module = program[0] == "-m"
    sys.argv = program[1:] if is_module else program
    first = cwd if is_module else str(Path(program[0]).resolve().parent)
    inherited = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
    libraries = [each for each in sys.path if each.startswith((sys.prefix, sys.base_prefix))]
    sys.path[:] = [*([] if is_safe else [first]), *inherited, *libraries]
    try:
        if is_module:
            runpy.run_module(program[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(program[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves them out
