"""Checks the Flink cluster before a run."""

import re
from typing import Any

from pipeline.beam.flink import rest
from pipeline.beam.flink.addresses import is_listening, is_local_host, is_loopback, split_address
from pipeline.beam.flink.jar import FLINK, JOB_SERVER, java
from pipeline.config.beam import Beam, Flink
from pipeline.config.errors import ConfigError

START = "start one with 'make flink-cluster', or set another address"
_HOST = re.compile(r"@\[?([^@/]+?)\]?:[0-9]+/")  # in pekko.tcp://flink@10.0.0.7:41001/user/rpc/taskmanager_0


def check_flink(beam: Beam) -> None:
    """Checks the cluster, the worker pool and the job server if Beam steps run on Flink, and builds the jar.

    Raises:
        ConfigError: One line for the first check that fails.
    """
    if beam.runner != "flink":
        return
    flink = beam.flink
    found = _request(flink.address, "/overview", "flink-version")
    slots = found["slots-total"]
    if slots < flink.parallelism:
        raise ConfigError(
            f"beam.flink.parallelism: found {flink.parallelism}; expected at most {slots}, the slots of the cluster "
            f"at {flink.address}: lower it, or add slots"
        )
    _check_workers(flink)
    if flink.job_server:
        _check_job_server(flink)
        return
    version = found["flink-version"]
    if not version.startswith(f"{FLINK}."):
        raise ConfigError(
            f"beam.flink.address: found Flink {version} at {flink.address}; expected {FLINK}, the version of "
            "this project's job server: for another version, run a job server yourself and set beam.flink.job_server"
        )
    java(JOB_SERVER)


def _request(address: str, path: str, key: str) -> dict[str, Any]:
    """Returns the JSON response of the cluster, after checking that it has a key."""
    text = f"beam.flink.address: found no Flink cluster at {address}"
    try:
        found = rest.request_json(address, path)
    except OSError as error:
        raise ConfigError(f"{text} ({getattr(error, 'reason', error)}); {START}") from error
    except ValueError as error:
        raise ConfigError(f"{text}; another server listens there: {START}") from error
    if not isinstance(found, dict) or key not in found:
        raise ConfigError(f"{text}; another server listens there: {START}")
    return found


def _check_workers(flink: Flink) -> None:
    """Checks that task managers can reach the workers. Those in this process are only reachable from this machine."""
    remote = _remote_part(flink.address)
    if flink.workers == "loopback" and remote:
        raise ConfigError(
            f"beam.flink.workers: found 'loopback', workers in this process, and {remote} on another machine, which "
            "cannot reach them; expected 'external', with a worker pool next to each task manager at beam.flink.pool "
            "(docs/flink.md)"
        )
    if flink.workers == "external" and not remote and not is_listening(flink.pool):
        raise ConfigError(
            f"beam.flink.pool: found no server at {flink.pool}; expected a worker pool: start it with "
            "'make flink-workers', or set beam.flink.workers to 'loopback'"
        )


def _remote_part(address: str) -> str | None:
    """Returns which part of the cluster is on another machine, or ``None``."""
    if not is_local_host(split_address(address)[0]):
        return f"beam.flink.address {address}"
    paths = (each["path"] for each in _request(address, "/taskmanagers", "taskmanagers")["taskmanagers"])
    hosts = (match[1] for match in map(_HOST.search, paths) if match)
    return next((f"a task manager of {address} at {host}" for host in hosts if not is_local_host(host)), None)


def _check_job_server(flink: Flink) -> None:
    host = split_address(flink.address)[0]
    if is_loopback(host) and not is_local_host(split_address(flink.job_server)[0]):
        raise ConfigError(
            f"beam.flink.job_server: found {flink.job_server} on another machine, which cannot reach "
            f"beam.flink.address {flink.address}; expected an address of the cluster that works on both machines"
        )
    if not is_listening(flink.job_server):
        raise ConfigError(
            f"beam.flink.job_server: found no server at {flink.job_server}; expected a Beam job server: start it, or "
            "remove the key to have the run start one"
        )
