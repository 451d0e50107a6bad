"""Beam runner for Flink: one job server per run, workers on the loopback interface, and one-line errors."""

import contextlib
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
)
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_fn_api_pb2_grpc
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.worker import sdk_worker_main
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.transforms import environments
from apache_beam.utils.thread_pool_executor import shared_unbounded_instance

from pipeline.beam.flink import rest
from pipeline.beam.flink.addresses import HOST
from pipeline.beam.flink.job_server import JobServer, shared

_TRACE = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*(\S.*)$", re.MULTILINE)
_CAUSED = re.compile(r"^\s*Caused by: (.*)$", re.MULTILINE)
_AROUND = re.compile(r"^Pipeline \S+ failed in state \w+: ")
_TYPE = re.compile(r"^(?:[\w$]+\.)*[\w$]*(?:Error|Exception): ")
STOP_SECONDS = 1.0


class FlinkError(RuntimeError):
    """A step failed on Flink, or the job server is unavailable."""


class FlinkRunner(PortableRunner):
    """Runs pipelines on the cluster at ``--flink_master``, through ``--job_endpoint`` or a shared local job server."""

    def default_job_server(self, options: PipelineOptions) -> JobServer:
        """Returns the job server that all steps of a run share."""
        return shared(options.view_as(FlinkRunnerOptions).flink_master)

    def run_portable_pipeline(self, pipeline: Any, options: PipelineOptions) -> "FlinkResult":
        """Submits a pipeline.

        Raises:
            FlinkError: The job server rejects the pipeline.
        """
        job = Job(options)
        with job.raising_flink_errors():
            return FlinkResult(super().run_portable_pipeline(pipeline, options), job)

    @staticmethod
    def start_and_replace_loopback_environments(pipeline: Any, options: PipelineOptions) -> list[Callable[[], Any]]:
        """Starts workers in this process, which Flink's task manager connects to.

        Beam's implementation listens on all interfaces, so anyone on the network could run code in it.
        """
        loopback = [
            each
            for each in pipeline.components.environments.values()
            if each.urn == python_urns.EMBEDDED_PYTHON_LOOPBACK
        ]
        if not loopback:
            return []
        pool = BeamFnExternalWorkerPoolServicer(state_cache_size=sdk_worker_main._get_state_cache_size_bytes(options))
        server, port = serve_workers(f"{HOST}:0", pool)
        external = environments.ExternalEnvironment(f"{HOST}:{port}").to_runner_api(None)
        for each in loopback:
            each.urn, each.payload = external.urn, external.payload
        return [lambda: server.stop(STOP_SECONDS)]


class Job:
    """A job on the cluster.

    Attributes:
        name: Unique name of the job.
    """

    def __init__(self, options: PipelineOptions) -> None:
        """Gives the job a unique name."""
        self.name = f"onegraph-{uuid.uuid4().hex[:12]}"
        options.view_as(GoogleCloudOptions).job_name = self.name
        self._address = options.view_as(FlinkRunnerOptions).flink_master
        self._job_server = options.view_as(PortableOptions).job_endpoint

    @contextlib.contextmanager
    def raising_flink_errors(self) -> Iterator[None]:
        """Turns Beam's errors into one line, and cancels the job if this process is interrupted."""
        try:
            yield
        except KeyboardInterrupt:
            self.cancel()
            raise
        except (grpc.RpcError, grpc.FutureTimeoutError) as error:
            self.cancel()
            ended = None if self._job_server else shared(self._address).describe_end(STOP_SECONDS)
            found = ended or f"Beam's job server at {self._job_server or HOST} is unavailable ({_reason(error)})"
            raise FlinkError(f"{found}; the step was canceled: run the same command to resume") from error
        except RuntimeError as error:
            raise FlinkError(root_cause(str(error))) from error

    def cancel(self) -> None:
        """Cancels the job, which would otherwise wait for workers that are gone."""
        with contextlib.suppress(OSError, ValueError):
            rest.cancel(self._address, self.name)


class FlinkResult:
    """A Beam result with one-line errors."""

    def __init__(self, result: Any, job: Job) -> None:
        """Wraps a Beam result."""
        self._result = result
        self._job = job

    def wait_until_finish(self, duration: int | None = None) -> Any:
        """Waits for the job, for at most ``duration`` milliseconds if it is given.

        Raises:
            FlinkError: The job failed.
        """
        with self._job.raising_flink_errors():
            return self._result.wait_until_finish(duration)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._result, name)


def serve_workers(address: str, pool: BeamFnExternalWorkerPoolServicer) -> tuple[grpc.Server, int]:
    """Serves a worker pool at ``host:port``, and returns the server and its port.

    Raises:
        RuntimeError: The port is taken.
    """
    options = [("grpc.http2.max_pings_without_data", 0), ("grpc.http2.max_ping_strikes", 0), ("grpc.so_reuseport", 0)]
    server = grpc.server(shared_unbounded_instance(), options=options)
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    port = server.add_insecure_port(address)
    server.start()
    return server, port


def root_cause(text: str) -> str:
    """Returns the message of the original error from nested Java and Python tracebacks."""
    found = _TRACE.findall(text) or _CAUSED.findall(text) or [text.strip().partition("\n")[0]]
    return _TYPE.sub("", _AROUND.sub("", found[-1].strip()))


def _reason(error: BaseException) -> str:
    return error.code().name if isinstance(error, grpc.Call) else type(error).__name__
