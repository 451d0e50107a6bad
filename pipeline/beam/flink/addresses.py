"""Whose an address is, and who listens there."""

import ipaddress
import socket

HOST = "127.0.0.1"
CONNECT_SECONDS = 5.0


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


def split(address: str) -> tuple[str, int]:
    """Host and port of ``host:port``."""
    host, _, port = address.rpartition(":")
    return host, int(port)


def listens(address: str) -> bool:
    """Whether something listens at ``host:port``."""
    try:
        socket.create_connection(split(address), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def is_here(host: str) -> bool:
    """Whether a host is this machine, by a name or an address: nobody can listen at another's."""
    return host.lower() == socket.gethostname().lower() or any(map(_can_listen, _resolved(host)))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine for those alone that run on it; ``localhost`` is, its name in a network is not."""
    found = _resolved(host)
    return bool(found) and all(ipaddress.ip_address(each).is_loopback for each in found)


def _resolved(host: str) -> set[str]:
    """Its addresses; none if nobody knows it."""
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):  # the latter of what cannot be a name
        return set()


def _can_listen(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
