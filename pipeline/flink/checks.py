"""Checks of a Flink cluster before anything runs."""

from typing import Any

from pipeline.config import Beam
from pipeline.config_errors import ConfigError
from pipeline.flink import rest
from pipeline.flink.jar import FLINK, JOB_SERVER, java
from pipeline.flink.process import listens

START = "start one on this machine with 'make flink-cluster', or name another"


def check_flink(beam: Beam) -> None:
    """Checks that what the settings name is there, if Beam's steps run on Flink; makes the job server's jar.

    Raises:
        ConfigError: One line for the first that is not.
    """
    if beam.runner != "flink":
        return
    flink = beam.flink
    if not flink.job_server:
        java(JOB_SERVER)
    found = _overview(flink.address)
    slots = found["slots-total"]
    if slots < flink.parallelism:
        raise ConfigError(
            f"beam.flink.parallelism: found {flink.parallelism}; the cluster at {flink.address} has {slots} slots in "
            f"{found['taskmanagers']} task managers: lower it, or give the cluster more"
        )
    version = found["flink-version"]
    if not flink.job_server and not version.startswith(f"{FLINK}."):
        raise ConfigError(
            f"beam.flink.address: found Flink {version} at {flink.address}; expected {FLINK}, which the job server of "
            "this project is for: run another one yourself, and name it in beam.flink.job_server"
        )
    if flink.job_server and not listens(flink.job_server):
        raise ConfigError(
            f"beam.flink.job_server: nobody listens at {flink.job_server}; expected a Beam job server: start it, or "
            "leave the key out, and one is started"
        )


def _overview(address: str) -> dict[str, Any]:
    key = f"beam.flink.address: found no Flink cluster at {address}"
    try:
        found = rest.ask(address, "/overview")
    except OSError as error:
        raise ConfigError(f"{key} ({getattr(error, 'reason', error)}); {START}") from error
    except ValueError as error:
        raise ConfigError(f"{key}, but something else that answers; {START}") from error
    if not isinstance(found, dict) or "flink-version" not in found:
        raise ConfigError(f"{key}, but something else that answers; {START}")
    return found
