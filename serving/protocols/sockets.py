"""Socket helpers: stop accepting connections without resetting any, check ports, find a library's sockets."""

import contextlib
import ctypes
import os
import socket
import struct

SO_ATTACH_FILTER = 26  # asm-generic/socket.h
# A classic BPF program (linux/filter.h) on the TCP header: load byte 13 (the flags), mask SYN and ACK, and drop packets
# that have only SYN set, which request a connection.
_LOAD, _AND, _IF_EQUAL, _RETURN = 0x30, 0x54, 0x15, 0x06
_FLAGS, _SYN, _ACK, _ALL = 13, 0x02, 0x10, 0xFFFFFFFF
_DROP_SYN = [(_LOAD, 0, 0, _FLAGS), (_AND, 0, 0, _SYN | _ACK), (_IF_EQUAL, 0, 1, _SYN), (_RETURN, 0, 0, 0)]


def drop_new_connections(listening: socket.socket) -> None:
    """Makes the kernel drop new connection requests, while those in the backlog can still be accepted.

    Closing a listening socket resets the connections in its backlog, and one can always arrive between the last accept
    and the close. A client whose request is dropped sends it again after a second, and is then refused.

    Args:
        listening: A listening TCP socket.

    Raises:
        OSError: The kernel does not support socket filters.
    """
    instructions = b"".join(struct.pack("HBBI", *each) for each in [*_DROP_SYN, (_RETURN, 0, 0, _ALL)])
    buffer = ctypes.create_string_buffer(instructions)
    program = struct.pack("HL", len(_DROP_SYN) + 1, ctypes.addressof(buffer))
    listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def check_port(address: str, port: int) -> None:
    """Checks that a port can be bound. Loading models can take minutes, and the port is opened after that.

    Args:
        address: The address to bind.
        port: The port. 0 is skipped.

    Raises:
        OSError: The port is in use, or the address is not available.
    """
    if port:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))


def duplicate_sockets(port: int, listening: bool) -> list[socket.socket]:
    """Duplicates this process's sockets on a TCP port, for libraries that do not expose them. The caller closes them.

    Args:
        port: The port. 0 has no sockets.
        listening: Whether to return listening sockets or connected ones.
    """
    sockets = []
    for name in os.listdir("/proc/self/fd") if port else []:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:  # not a socket, or closed in the meantime
            number = os.dup(int(name))
            stack.callback(os.close, number)
            duplicate = socket.socket(fileno=number)
            address = duplicate.getsockname()
            if duplicate.family in (socket.AF_INET, socket.AF_INET6) and address[1] == port:
                listens = bool(duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
                if listens is listening:
                    sockets.append(duplicate)
                    stack.pop_all()
                    continue
            duplicate.detach()
    return sockets
