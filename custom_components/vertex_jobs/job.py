"""Runs a custom job of Vertex AI and reports why it failed."""

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any, TypeAlias

from absl import logging
from tfx.dsl.io import fileio

from cloud.calls import TIMEOUT, with_retries
from cloud.vertex import CloudError, Connection, error_message, raising_cloud_errors
from custom_components.vertex_jobs.failures import FAILURES
from models.distributed.supervisor import PEER_LOST

Job: TypeAlias = dict[str, Any]
FIRST_WAIT, MAX_WAIT = 0.5, 15.0  # seconds between two polls
SLEEP_SECONDS = 0.1  # between checks for SIGTERM
MAX_FAILED_POLLS = 20  # in a row: five minutes without the API


class JobFailedError(RuntimeError):
    """A custom job did not succeed. The message is one line."""


def run_job(connection: Connection, job: Job, folder: str) -> None:
    """Runs a job to its end. The job is cancelled if this process is terminated first.

    Args:
        connection: The connection to Vertex AI.
        job: aiplatform's ``CustomJob`` as JSON.
        folder: Folder in which replicas record why they failed. See :mod:`custom_components.vertex_jobs.replica`.

    Raises:
        JobFailedError: The job failed or was cancelled.
        CloudError: The job cannot be started, or its state cannot be read.
    """
    from google.cloud.aiplatform_v1 import CustomJob  # noqa: PLC0415 - takes seconds, and replicas do not need it

    for path in _failures(folder):
        fileio.remove(path)
    request = CustomJob.from_json(json.dumps(job))
    with _sigterm() as signals, raising_cloud_errors():
        custom_job = with_retries(
            lambda: connection.jobs.create_custom_job(parent=connection.parent, custom_job=request, timeout=TIMEOUT),
            repeatable=False,  # two jobs would write into the same folders
        )
        link = _link(connection, custom_job.name)
        logging.info("Started job %s: %s", custom_job.name, link)
        try:
            custom_job = _wait_for_end(connection, custom_job.name, signals)
        except BaseException:
            _cancel(connection, custom_job.name)
            raise
    state = custom_job.state.name.removeprefix("JOB_STATE_").lower()
    if state != "succeeded":
        reason = _reason(folder) or custom_job.error.message or "see its log"
        raise JobFailedError(f"the job {job['displayName']} {_STATES.get(state, state)}: {reason}; see {link}")


_STATES = {"failed": "failed", "cancelled": "was cancelled", "expired": "did not start in time"}
_ENDED = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED")


def _wait_for_end(connection: Connection, name: str, signals: list[int]) -> Any:
    """Waits for the end of a job and returns its final state.

    Raises:
        SystemExit: This process got a SIGTERM.
        CloudError: The state of the job cannot be read.
    """
    failed, wait, state = 0, FIRST_WAIT, ""
    while True:
        try:
            job = with_retries(lambda: connection.jobs.get_custom_job(name=name, timeout=TIMEOUT))
            failed = 0
        except Exception as error:  # a network outage must not end days of training
            failed += 1
            if failed == MAX_FAILED_POLLS:
                raise CloudError(error_message(error)) from error
        else:
            if job.state.name != state:
                state = job.state.name
                logging.info("Job %s: %s", name, state)
            if state in _ENDED:
                return job
        end = time.monotonic() + wait
        while time.monotonic() < end:
            if signals:
                raise SystemExit(128 + signals[0])
            time.sleep(SLEEP_SECONDS)
        wait = min(wait * 1.5, MAX_WAIT)


def _cancel(connection: Connection, name: str) -> None:
    logging.info("Cancelling job %s, because its step was terminated.", name)
    try:
        with_retries(lambda: connection.jobs.cancel_custom_job(name=name, timeout=TIMEOUT))
    except Exception as error:  # the step reports its own error
        logging.error("Job %s keeps running: %s", name, error_message(error))


@contextlib.contextmanager
def _sigterm() -> Iterator[list[int]]:
    """Collects the SIGTERM with which Vertex AI terminates a step. Only the main thread can."""
    signals: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
    try:
        yield signals
    finally:
        signal.signal(signal.SIGTERM, before)


def _link(connection: Connection, name: str) -> str:
    path = f"locations/{connection.region}/training/{name.rpartition('/')[2]}?project={connection.project}"
    return f"https://console.cloud.google.com/ai/platform/{path}"


def _failures(folder: str) -> list[str]:
    found: list[str] = fileio.glob(os.path.join(folder, FAILURES.format("*")))
    return sorted(found)


def _reason(folder: str) -> str:
    """The first failure of a replica. Failures that follow from a lost peer come last."""
    failures = []
    for path in _failures(folder):
        with fileio.open(path, "r") as file:
            failures.append(json.loads(file.read()))
    failures.sort(key=lambda each: (each["kind"] in PEER_LOST, each["time"]))
    return f"{failures[0]['name']}: {failures[0]['text']}" if failures else ""
