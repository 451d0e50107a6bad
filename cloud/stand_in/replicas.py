"""Runs custom jobs as local processes, with the environment variables that Vertex AI sets."""

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from common.child_processes import child_environment, ending_with_this_process, exit_description
from common.logs import last_error

Job: TypeAlias = Mapping[str, Any]
HOST = "127.0.0.1"
KINDS = ("chief", "worker", "ps", "evaluator")  # Vertex AI's names in TF_CONFIG, by pool
POLL_SECONDS = 0.1
GRACE_SECONDS = 20.0  # for replicas to end on their own after the chief has ended or one has failed
END_SECONDS = 3.0  # between SIGTERM and SIGKILL


class LocalJobs:
    """Runs and cancels custom jobs, as :class:`cloud.stand_in.StandIn` requires.

    Attributes:
        environment: Environment variables of all replicas, in addition to this process's. Those of the job take
            precedence.
    """

    def __init__(self, logs: Path | None = None) -> None:
        """Creates the runner.

        Args:
            logs: Folder for one log per replica, by default a temporary folder.
        """
        self.environment: dict[str, str] = {}
        self._logs = logs
        self._cancelled: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def run_job(self, job: Job) -> str | None:
        """Runs a job to its end.

        Pools whose container has no command, such as reduction servers, would run their image's. They are not started.

        Args:
            job: aiplatform's ``CustomJob`` as JSON.

        Returns:
            An error in one line for the first replica that failed, or ``None``.
        """
        cancelled = self._event(job.get("name", ""))
        with tempfile.TemporaryDirectory(prefix="job") as folder:
            logs = self._logs or Path(folder)
            replicas = _replicas(job, logs, self.environment)
            if not replicas or not replicas[0].is_chief:
                return "found no command in the first worker pool; expected one: images cannot run here"
            with contextlib.ExitStack() as stack:
                for replica in replicas:
                    stack.callback(replica.end)
                    replica.start()
                return _wait(replicas, cancelled)

    def cancel_job(self, name: str) -> None:
        """Ends all replicas of a job."""
        self._event(name).set()

    def _event(self, name: str) -> threading.Event:
        with self._lock:
            return self._cancelled.setdefault(name, threading.Event())


class _Replica:
    """One container of a job, as a process."""

    def __init__(
        self, pool: int, index: int, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = f"workerpool{pool}-{index}"
        self.is_chief = pool == 0
        self._command = [sys.executable if part == "python" else part for part in command]
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as file:
            self._process = subprocess.Popen(  # noqa: S603 - the job's own command
                ending_with_this_process(self._command),
                env=child_environment(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    @property
    def code(self) -> int | None:
        return self._process.poll() if self._process else None

    @property
    def failure(self) -> str:
        """The error in Vertex AI's words, with the last error of the log."""
        code = self.code or 0
        error = last_error(self._log) if code > 0 else f"it {exit_description(code)}"
        details = f": {error}" if error else ""
        return f"The replica {self.name} exited with a non-zero status of {code}{details}"

    def end(self) -> None:
        """Ends the process and its children."""
        if not self._process:
            return
        for number, seconds in ((signal.SIGTERM, END_SECONDS), (signal.SIGKILL, None)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds if self._process.poll() is None else 0)


def _replicas(job: Job, logs: Path, shared: Mapping[str, str]) -> list[_Replica]:
    """The replicas of the pools that can run here, with the chief first."""
    pools: Sequence[Job] = job["jobSpec"]["workerPoolSpecs"]
    counts = [int(pool.get("replicaCount", 0)) for pool in pools]
    with _free_ports(sum(counts)) as ports:
        addresses = iter(f"{HOST}:{port}" for port in ports)
        cluster = [[next(addresses) for _ in range(count)] for count in counts]
    found = []
    for pool_index, (pool, count) in enumerate(zip(pools, counts, strict=True)):
        container = pool.get("containerSpec", {})
        command = [*container.get("command", ()), *container.get("args", ())]
        if not command:
            logging.warning(
                "Worker pool %d (%s) is not started locally.", pool_index, container.get("imageUri", "no image")
            )
            continue
        own = {each["name"]: each["value"] for each in container.get("env", ())}
        for index in range(count):
            environment = {**shared, **_output_folders(job), **_cluster_environment(cluster, pool_index, index), **own}
            log = logs / f"{job['displayName']}-workerpool{pool_index}-{index}.log"
            found.append(_Replica(pool_index, index, command, environment, log))
    return found


def _cluster_environment(cluster: Sequence[list[str]], pool_index: int, index: int) -> dict[str, str]:
    """``CLUSTER_SPEC``, and ``TF_CONFIG``, which Vertex AI sets only if there are several replicas."""
    task = {"index": index}
    pools = {f"workerpool{number}": each for number, each in enumerate(cluster) if each}
    spec = {"cluster": pools, "environment": "cloud", "task": {"type": f"workerpool{pool_index}", **task}}
    environment = {"CLUSTER_SPEC": json.dumps(spec)}
    if sum(map(len, cluster)) > 1:
        # Evaluators are not part of the cluster.
        kinds = {kind: each for kind, each in zip(KINDS[:-1], cluster, strict=False) if each}
        config = {"cluster": kinds, "environment": "cloud", "task": {"type": KINDS[pool_index], **task}}
        environment["TF_CONFIG"] = json.dumps(config)
    return environment


def _output_folders(job: Job) -> dict[str, str]:
    folder = job["jobSpec"].get("baseOutputDirectory", {}).get("outputUriPrefix", "").rstrip("/")
    names = {"AIP_MODEL_DIR": "model", "AIP_CHECKPOINT_DIR": "checkpoints", "AIP_TENSORBOARD_LOG_DIR": "logs"}
    return {name: f"{folder}/{part}/" for name, part in names.items()} if folder else {}


def _wait(replicas: Sequence[_Replica], cancelled: threading.Event) -> str | None:
    """Waits until the chief has succeeded, a replica has failed, or the job is cancelled.

    The other replicas get :data:`GRACE_SECONDS` to end.
    """
    while not cancelled.wait(POLL_SECONDS):
        failed = [replica for replica in replicas if replica.code]
        if failed or replicas[0].code == 0:
            end = time.monotonic() + GRACE_SECONDS
            while time.monotonic() < end and any(each.code is None for each in replicas) and not cancelled.is_set():
                time.sleep(POLL_SECONDS)
            failed = failed or [replica for replica in replicas if replica.code]
            return failed[0].failure if failed else None
    return "it was cancelled"


@contextlib.contextmanager
def _free_ports(count: int) -> Iterator[list[int]]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        yield [each.getsockname()[1] for each in sockets]
