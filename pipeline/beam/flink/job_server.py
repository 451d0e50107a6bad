"""Beam's job server, which submits pipelines to a Flink cluster."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from apache_beam.portability.api import beam_job_api_pb2_grpc
from apache_beam.runners.portability import job_server

from pipeline.beam.flink.addresses import HOST, free_port
from pipeline.beam.flink.jar import JOB_SERVER, java
from pipeline.beam.flink.process import EndedError, Process

START_SECONDS = 120.0


class JobServer(job_server.JobServer):
    """A job server for one cluster, on the loopback interface of this machine."""

    def __init__(self, address: str) -> None:
        """Prepares a job server without starting it.

        Args:
            address: ``host:port`` of the cluster's REST API.
        """
        self._address = address
        self._stack = contextlib.ExitStack()
        self._process: Process | None = None
        self._port = 0

    def start(self) -> Any:
        """Starts the server, or restarts it if it has ended, and returns a gRPC stub.

        Raises:
            EndedError: The server does not start.
        """
        if self.describe_end():
            self.stop()
        if self._process is None:
            self._start()
        return beam_job_api_pb2_grpc.JobServiceStub(grpc.insecure_channel(f"{HOST}:{self._port}"))

    def stop(self) -> None:
        """Stops the server and deletes its files."""
        self._process = None
        self._stack.close()

    def describe_end(self, seconds: float = 0.0) -> str | None:
        """Returns one line on how the server ended by itself, or ``None`` if it is running.

        Args:
            seconds: How long to wait for the end, since a connection breaks before the process is gone.
        """
        return self._process.describe_end() if self._process and self._process.ends_within(seconds) else None

    def _start(self) -> None:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="flink")))
        self._port = free_port()
        options = {"flink-master": self._address, "job-host": HOST, "job-port": self._port, "artifacts-dir": folder}
        ports = {"artifact-port": 0, "expansion-port": 0}
        arguments = [f"--{key}={value}" for key, value in {**options, **ports}.items()]
        process = Process("Beam's job server", java(JOB_SERVER, *arguments))
        self._stack.callback(process.close)
        self._process = process
        try:
            process.wait_for(self._is_ready, START_SECONDS)
        except EndedError:
            self.stop()
            raise

    def _is_ready(self) -> bool:
        with grpc.insecure_channel(f"{HOST}:{self._port}") as channel:
            try:
                grpc.channel_ready_future(channel).result(1.0)
            except grpc.FutureTimeoutError:
                return False
        return True


_started: dict[str, JobServer] = {}


def shared(address: str) -> JobServer:
    """Returns this process's job server for a cluster. The first Beam step starts it."""
    return _started.setdefault(address, JobServer(address))


@contextlib.contextmanager
def job_servers() -> Iterator[None]:
    """Stops the job servers that were started inside the block."""
    try:
        yield
    finally:
        while _started:
            _started.popitem()[1].stop()
