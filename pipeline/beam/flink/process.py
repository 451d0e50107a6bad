"""A Java process that ends with this process."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

GRACE_SECONDS = 5.0  # from SIGTERM to SIGKILL
POLL_SECONDS = 0.1
LAST_LINES = 12
# The shell stops the process when the pipe from this process closes: by close(), or because this process was killed.
# It returns the exit code of the process, so it must outlive the group, whose other members it terminates first.
GUARD = """
grace=$1; shift
exec 3<&0
"$@" </dev/null 3<&- & ours=$!
{ read -r _ <&3; kill $ours; sleep $grace; kill -KILL -$$; } &
exec 3<&- </dev/null
wait $ours; code=$?
trap '' TERM
kill -TERM 0
exit $code
"""


class EndedError(RuntimeError):
    """A process ended by itself, or did not start."""


class Process:
    """A process with a log. It ignores Ctrl-C, so its owner has to close it."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        """Starts the process.

        Args:
            name: Name for messages.
            command: The program and its arguments.
        """
        self.name = name
        self._log = tempfile.NamedTemporaryFile(prefix="flink", suffix=".log")  # noqa: SIM115 - closed by close()
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            ["/bin/sh", "-c", GUARD, "sh", str(GRACE_SECONDS), *command],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def code(self) -> int | None:
        """Exit code, or ``None`` while the process runs."""
        return self._process.poll()

    def describe_end(self) -> str:
        """Returns one line with the exit code and the last error in the log."""
        lines = Path(self._log.name).read_text(errors="replace").splitlines()[-LAST_LINES:]
        shown = next((line for line in lines if "Exception" in line or "Error" in line), lines[-1] if lines else "")
        return f"{self.name} ended with exit code {self.code}: {shown.strip() or 'no output'}"

    def wait_for(self, is_ready: Callable[[], bool], seconds: float) -> None:
        """Waits until the process is ready.

        Raises:
            EndedError: The process ended, or was not ready in time.
        """
        end = time.monotonic() + seconds
        while not is_ready():
            if self.code is not None:
                raise EndedError(self.describe_end())
            if time.monotonic() > end:
                raise EndedError(
                    f"{self.name} was not ready after {seconds:.0f} s; check whether the machine is overloaded"
                )
            time.sleep(POLL_SECONDS)

    def ends_within(self, seconds: float) -> bool:
        """Returns whether the process has ended, or ends by itself within that time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self.code is not None

    def close(self) -> None:
        """Stops the process with its child processes, and deletes the log."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(2 * GRACE_SECONDS)
        except subprocess.TimeoutExpired:  # the shell is gone or stopped
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()
