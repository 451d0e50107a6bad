"""Beam's Python workers beside a task manager, for ``beam.flink.workers: external``; start it in the project's folder.

It starts a process for whoever asks, which does what it is sent: only task managers of this machine need to reach it.
"""

import os
import sys
import time
from pathlib import Path

import click
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

from pipeline.config_loading import ROOT
from pipeline.flink.runner import serve_workers


@click.command()
@click.option("--listen", default="127.0.0.1:50000", show_default=True, help="host:port, as in beam.flink.pool.")
def main(listen: str) -> None:
    """Offer Beam's Python workers until Ctrl-C."""
    # Beam starts "python", and its workers import what the steps name.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    try:
        server, _ = serve_workers(listen, BeamFnExternalWorkerPoolServicer(use_process=True))
    except RuntimeError as error:
        raise click.ClickException(
            f"--listen: cannot listen at {listen}; expected a free port of this machine"
        ) from error
    click.echo(f"Workers at {listen}; Ctrl-C ends them.")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        server.stop(1)


if __name__ == "__main__":
    main()
