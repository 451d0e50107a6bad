"""Closes a port without resetting a client that has just been connected."""

import contextlib
import ctypes
import os
import socket
import struct

SO_ATTACH_FILTER = 26  # asm-generic/socket.h
# In the words of a packet filter (linux/filter.h), over a TCP header: load byte 13, the flags; keep SYN and ACK; a
# packet that has SYN alone asks for a connection and is dropped, all others pass.
_LOAD, _AND, _IF_EQUAL, _RETURN = 0x30, 0x54, 0x15, 0x06
_FLAGS, _SYN, _ACK, _ALL = 13, 0x02, 0x10, 0xFFFFFFFF
_NO_NEW_ONES = [(_LOAD, 0, 0, _FLAGS), (_AND, 0, 0, _SYN | _ACK), (_IF_EQUAL, 0, 1, _SYN), (_RETURN, 0, 0, 0)]


def refuse_new(listening: socket.socket) -> None:
    """Has the kernel let no more connections in, while those that wait to be accepted can still be.

    When a listening socket is closed, the kernel resets what waits, and between the last accept and the close there is
    always a moment. A client whose packet is dropped sends it again after a second, and is then refused.

    Args:
        listening: The socket.

    Raises:
        OSError: The kernel has no such filters.
    """
    steps = b"".join(struct.pack("HBBI", *step) for step in [*_NO_NEW_ONES, (_RETURN, 0, 0, _ALL)])
    buffer = ctypes.create_string_buffer(steps)
    program = struct.pack("HL", len(_NO_NEW_ONES) + 1, ctypes.addressof(buffer))
    listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def check_free(address: str, port: int) -> None:
    """Tells at once that a port cannot be listened on, where it is opened only after minutes of loading.

    Args:
        address: Of the interface.
        port: The port; 0 is none.

    Raises:
        OSError: It is taken, or not to be had.
    """
    if port:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))


def sockets_of(port: int, listening: bool) -> list[socket.socket]:
    """Copies of this process' sockets on a TCP port, for a library that hands out none of its own; to be closed.

    Args:
        port: The port; 0 has none.
        listening: Whether those that listen are wanted, or those that are connected.
    """
    found = []
    for name in os.listdir("/proc/self/fd") if port else []:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:  # it is no socket, or has just been closed
            number = os.dup(int(name))
            stack.callback(os.close, number)
            copy = socket.socket(fileno=number)
            address = copy.getsockname()
            if copy.family in (socket.AF_INET, socket.AF_INET6) and address[1] == port:
                listens = bool(copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
                if listens is listening:
                    found.append(copy)
                    stack.pop_all()
                    continue
            copy.detach()
    return found
