"""Beam's job server, which turns pipelines into jobs of a Flink cluster."""

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
    """A job server on this machine, for one cluster; it listens on the loopback interface."""

    def __init__(self, address: str) -> None:
        """Starts none yet.

        Args:
            address: ``host:port`` of the cluster's REST API.
        """
        self._address = address
        self._stack = contextlib.ExitStack()
        self._process: Process | None = None
        self._port = 0

    def start(self) -> Any:
        """Starts it, or anew if it ended, and returns the stub of its service.

        Raises:
            EndedError: It does not come up.
        """
        if self.ended():
            self.stop()
        if self._process is None:
            self._start()
        return beam_job_api_pb2_grpc.JobServiceStub(grpc.insecure_channel(f"{HOST}:{self._port}"))

    def stop(self) -> None:
        """Ends it, with all it wrote."""
        self._process = None
        self._stack.close()

    def ended(self, seconds: float = 0.0) -> str | None:
        """How it ended by itself, in one line; ``None`` if it did not.

        Args:
            seconds: How long to wait for that: a connection breaks before the process is gone.
        """
        return self._process.ended if self._process and self._process.ends_within(seconds) else None

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
            process.wait_for(self._is_up, START_SECONDS)
        except EndedError:
            self.stop()
            raise

    def _is_up(self) -> bool:
        with grpc.insecure_channel(f"{HOST}:{self._port}") as channel:
            try:
                grpc.channel_ready_future(channel).result(1.0)
            except grpc.FutureTimeoutError:
                return False
        return True


_started: dict[str, JobServer] = {}


def shared(address: str) -> JobServer:
    """The job server of this process for a cluster; it is started when the first step on Beam needs it."""
    return _started.setdefault(address, JobServer(address))


@contextlib.contextmanager
def job_servers() -> Iterator[None]:
    """Ends, at its end, the job servers that were started in it."""
    try:
        yield
    finally:
        while _started:
            _started.popitem()[1].stop()
