import socket

import pytest

from serving.protocols.sockets import drop_new_connections


def test_pending_connection_is_accepted_and_new_ones_are_dropped() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)
        address = listening.getsockname()
        with socket.create_connection(address, 5) as pending:
            drop_new_connections(listening)
            pending.sendall(b"a")
            with pytest.raises(TimeoutError):
                socket.create_connection(address, 0.2)
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.recv(1) == b"a"
            listening.settimeout(0.1)
            with pytest.raises(TimeoutError):
                listening.accept()
