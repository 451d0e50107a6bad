"""Runs a command that ends with its parent: ``python with_parent.py PARENT COMMAND [ARGUMENT]…``.

It is run as a file, so it imports nothing else of this project.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Has the kernel kill this process when the thread that started it ends. Does nothing on other systems than Linux.

    It stays in effect when this process executes another program.

    Args:
        parent: Process ID of the parent.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended in the meantime
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - the command of the caller
