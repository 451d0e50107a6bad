"""Network addresses: free ports, listening servers and local hosts."""

import ipaddress
import socket

HOST = "127.0.0.1"
CONNECT_SECONDS = 5.0


def free_port() -> int:
    """Returns a free port on the loopback interface."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


def split_address(address: str) -> tuple[str, int]:
    """Splits ``host:port`` into host and port.

    >>> split_address("localhost:8081")
    ('localhost', 8081)
    """
    host, _, port = address.rpartition(":")
    return host, int(port)


def is_listening(address: str) -> bool:
    """Returns whether a server listens at ``host:port``."""
    try:
        socket.create_connection(split_address(address), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def is_local_host(host: str) -> bool:
    """Returns whether a host name or address is this machine's, which is so if a socket can be bound to it."""
    return host.lower() == socket.gethostname().lower() or any(map(_can_listen, _resolved(host)))


def is_loopback(host: str) -> bool:
    """Returns whether a host resolves to loopback addresses only, like ``localhost``."""
    found = _resolved(host)
    return bool(found) and all(ipaddress.ip_address(each).is_loopback for each in found)


def _resolved(host: str) -> set[str]:
    """Returns the addresses of a host, or none if it cannot be resolved."""
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):  # UnicodeError if it is not a valid host name
        return set()


def _can_listen(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
