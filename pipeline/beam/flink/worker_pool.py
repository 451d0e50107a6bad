"""Pool of Beam's Python workers next to a task manager, for ``beam.flink.workers: external``.

Start it in the project's folder. Anyone who can connect to it can run code, so it only listens on loopback addresses.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import click
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

from common.child_processes import end_children, prepare_environment
from common.terminal import run_command
from pipeline.beam.flink.addresses import is_loopback
from pipeline.beam.flink.runner import STOP_SECONDS, serve_workers


class RefusedError(click.ClickException):
    """An address that cannot be used."""

    exit_code = 2


@click.command()
@click.option("--listen", default="127.0.0.1:50000", show_default=True, help="host:port, as in beam.flink.pool.")
def main(listen: str) -> None:
    """Run a pool of Beam's Python workers until you press Ctrl-C."""
    _check(listen)
    for stop in (signal.SIGINT, signal.SIGTERM):  # background jobs of a shell ignore Ctrl-C by default
        signal.signal(stop, signal.default_int_handler)
    # Beam starts "python", and the workers import the project's modules.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    prepare_environment()
    try:
        server, _ = serve_workers(listen, BeamFnExternalWorkerPoolServicer(use_process=True))
    except RuntimeError as error:
        raise RefusedError(f"--listen: cannot listen at {listen}; expected a free port that you may use") from error
    with contextlib.suppress(KeyboardInterrupt):
        click.echo(f"Beam workers at {listen}. Press Ctrl-C to stop.")
        while True:
            time.sleep(3600)
    server.stop(STOP_SECONDS).wait()
    end_children()


def _check(listen: str) -> None:
    host, _, port = listen.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or not 1 <= int(port) <= 65_535:
        raise RefusedError(f"--listen: found '{listen}'; expected host:port, such as 127.0.0.1:50000")
    if not is_loopback(host):
        raise RefusedError(
            f"--listen: found the host '{host}'; expected a loopback address, such as 127.0.0.1, since anyone who can "
            "connect to the port can run code on this machine"
        )


if __name__ == "__main__":
    run_command(main)
