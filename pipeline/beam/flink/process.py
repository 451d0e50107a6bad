"""A Java process that does not outlive this one."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

GRACE_SECONDS = 5.0  # between asking a process to end and ending it
POLL_SECONDS = 0.1
LAST_LINES = 12
# The shell ends the process when the pipe from here closes: with close(), or because this process was killed. Its own
# exit code is the process', so that it cannot end with the group; it ends what is left of that before.
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
    """A process ended by itself, or never came up."""


class Process:
    """A process with a log; Ctrl-C is not heard by it, but ends it through whoever closes it."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        """Starts it.

        Args:
            name: What a person calls it.
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
        """What it ended with; ``None`` while it runs."""
        return self._process.poll()

    @property
    def ended(self) -> str:
        """How it ended, with what it said last, in one line."""
        lines = Path(self._log.name).read_text(errors="replace").splitlines()[-LAST_LINES:]
        told = next((line for line in lines if "Exception" in line or "Error" in line), lines[-1] if lines else "")
        return f"{self.name} ended (exit code {self.code}): {told.strip() or 'it said nothing'}"

    def wait_for(self, is_up: Callable[[], bool], seconds: float) -> None:
        """Waits until it is up.

        Raises:
            EndedError: It ended, or the time is up.
        """
        end = time.monotonic() + seconds
        while not is_up():
            if self.code is not None:
                raise EndedError(self.ended)
            if time.monotonic() > end:
                raise EndedError(
                    f"{self.name} was not up after {seconds:.0f} s; look whether the machine is overloaded"
                )
            time.sleep(POLL_SECONDS)

    def ends_within(self, seconds: float) -> bool:
        """Whether it ended, or does so by itself in that time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self.code is not None

    def close(self) -> None:
        """Ends it with all that it started, and its log."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(2 * GRACE_SECONDS)
        except subprocess.TimeoutExpired:  # the guard is gone or stopped
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()
