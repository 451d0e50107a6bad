"""Checks of a Flink cluster before anything runs."""

import re
from typing import Any

from pipeline.beam.flink import rest
from pipeline.beam.flink.addresses import is_here, is_loopback, listens, split
from pipeline.beam.flink.jar import FLINK, JOB_SERVER, java
from pipeline.config.beam import Beam, Flink
from pipeline.config.errors import ConfigError

START = "start one on this machine with 'make flink-cluster', or name another"
_HOST = re.compile(r"@\[?([^@/]+?)\]?:[0-9]+/")  # in pekko.tcp://flink@10.0.0.7:41001/user/rpc/taskmanager_0


def check_flink(beam: Beam) -> None:
    """Checks that what the settings name is there, if Beam's steps run on Flink; makes the job server's jar.

    Raises:
        ConfigError: One line for the first that is not.
    """
    if beam.runner != "flink":
        return
    flink = beam.flink
    found = _ask(flink.address, "/overview", "flink-version")
    slots = found["slots-total"]
    if slots < flink.parallelism:
        raise ConfigError(
            f"beam.flink.parallelism: found {flink.parallelism}; the cluster at {flink.address} has {slots} slots in "
            f"{found['taskmanagers']} task managers: lower it, or give the cluster more"
        )
    _check_workers(flink)
    if flink.job_server:
        _check_job_server(flink)
        return
    version = found["flink-version"]
    if not version.startswith(f"{FLINK}."):
        raise ConfigError(
            f"beam.flink.address: found Flink {version} at {flink.address}; expected {FLINK}, which the job server of "
            "this project is for: run another one yourself, and name it in beam.flink.job_server"
        )
    java(JOB_SERVER)


def _ask(address: str, path: str, key: str) -> dict[str, Any]:
    """A cluster's answer, which has a key."""
    text = f"beam.flink.address: found no Flink cluster at {address}"
    try:
        found = rest.ask(address, path)
    except OSError as error:
        raise ConfigError(f"{text} ({getattr(error, 'reason', error)}); {START}") from error
    except ValueError as error:
        raise ConfigError(f"{text}, but something else that answers; {START}") from error
    if not isinstance(found, dict) or key not in found:
        raise ConfigError(f"{text}, but something else that answers; {START}")
    return found


def _check_workers(flink: Flink) -> None:
    """Task managers reach the workers that they are told of: those of this process from this machine alone."""
    elsewhere = _elsewhere(flink.address)
    if flink.workers == "loopback" and elsewhere:
        raise ConfigError(
            f"beam.flink.workers: found 'loopback', workers in this process, and {elsewhere}, another machine, which "
            "does not reach them; expected 'external', with a pool of workers beside each task manager, which "
            "beam.flink.pool names (docs/flink.md)"
        )
    if flink.workers == "external" and not elsewhere and not listens(flink.pool):
        raise ConfigError(
            f"beam.flink.pool: nobody listens at {flink.pool}; expected a pool of workers: start it with "
            "'make flink-workers', or take beam.flink.workers 'loopback'"
        )


def _elsewhere(address: str) -> str | None:
    """What of a cluster is on another machine; ``None`` if nothing is."""
    if not is_here(split(address)[0]):
        return f"beam.flink.address {address}"
    paths = (each["path"] for each in _ask(address, "/taskmanagers", "taskmanagers")["taskmanagers"])
    hosts = (match[1] for match in map(_HOST.search, paths) if match)
    return next((f"a task manager of {address} at {host}" for host in hosts if not is_here(host)), None)


def _check_job_server(flink: Flink) -> None:
    host = split(flink.address)[0]
    if is_loopback(host) and not is_here(split(flink.job_server)[0]):
        raise ConfigError(
            f"beam.flink.job_server: found {flink.job_server}, another machine, for which beam.flink.address "
            f"{flink.address} is not this one; expected a name of the cluster that both know"
        )
    if not listens(flink.job_server):
        raise ConfigError(
            f"beam.flink.job_server: nobody listens at {flink.job_server}; expected a Beam job server: start it, or "
            "leave the key out, and one is started"
        )
