"""Connections to this machine, which never go through a proxy."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

LOCALHOST = "localhost"
LOOPBACK = (LOCALHOST, "127.0.0.1", "::1")
NO_PROXY, NO_GRPC_PROXY = "no_proxy", "no_grpc_proxy"
ALL_HOSTS = "*"  # in no_proxy. It only counts if nothing else is listed.


def is_loopback_address(address: str) -> bool:
    """Returns whether ``host:port`` is on this machine, without resolving names.

    >>> is_loopback_address("127.0.0.1:8500"), is_loopback_address("models.example.com:8500")
    (True, False)
    """
    try:
        host = urlsplit(f"//{address}").hostname or ""
        return host == LOCALHOST or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def without_proxy_for_loopback(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment variables that exclude this machine from the user's proxy.

    Python's HTTP clients read ``no_proxy``. gRPC reads ``no_grpc_proxy`` first, and does not know ``*``.

    >>> without_proxy_for_loopback({"NO_PROXY": "corp"})["no_proxy"]
    'corp,localhost,127.0.0.1,::1'
    """
    hosts = environment.get(NO_PROXY) or environment.get(NO_PROXY.upper(), "")
    return {
        NO_PROXY: hosts if hosts.strip() == ALL_HOSTS else _with_loopback(hosts),
        NO_GRPC_PROXY: _with_loopback(environment.get(NO_GRPC_PROXY) or hosts),
    }


def _with_loopback(hosts: str) -> str:
    listed = [host.strip() for host in hosts.split(",") if host.strip()]
    return ",".join(dict.fromkeys([*listed, *LOOPBACK]))
