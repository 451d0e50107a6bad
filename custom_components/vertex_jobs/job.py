"""Starts a custom job of Vertex AI, waits for it, and says why it failed."""

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
from models.distributed.cluster import PEER_LOST

Job: TypeAlias = dict[str, Any]
FIRST_WAIT, LONGEST_WAIT = 0.5, 15.0  # seconds between two looks at the job
NAP = 0.1  # in which the end of this process is noticed
MOST_LOOKS = 20  # that fail in a row: five minutes without the API


class JobFailedError(RuntimeError):
    """A custom job did not succeed; the message is one line."""


def run_job(connection: Connection, job: Job, folder: str) -> None:
    """Runs a job to its end, which is cancelled if this process is ended first.

    Args:
        connection: Where it runs.
        job: aiplatform's ``CustomJob`` as JSON.
        folder: Where its replicas write why they failed; see :mod:`custom_components.vertex_jobs.replica`.

    Raises:
        JobFailedError: It failed, or somebody cancelled it.
        CloudError: It cannot be started, or is not seen any more.
    """
    from google.cloud.aiplatform_v1 import CustomJob  # noqa: PLC0415 - seconds, which no replica pays

    for left in _failures(folder):
        fileio.remove(left)
    asked = CustomJob.from_json(json.dumps(job))
    with _termination() as ended, raising_cloud_errors():
        made = with_retries(
            lambda: connection.jobs.create_custom_job(parent=connection.parent, custom_job=asked, timeout=TIMEOUT),
            repeatable=False,  # two jobs would write into the same folders
        )
        link = _link(connection, made.name)
        logging.info("Job %s has started: %s", made.name, link)
        try:
            made = _last(connection, made.name, ended)
        except BaseException:
            _cancel(connection, made.name)
            raise
    state = made.state.name.removeprefix("JOB_STATE_").lower()
    if state != "succeeded":
        told = _reason(folder) or made.error.message or "its log says why"
        raise JobFailedError(f"the job {job['displayName']} {_SAID.get(state, state)}: {told}; look at {link}")


_SAID = {"failed": "failed", "cancelled": "was cancelled", "expired": "did not start in time"}
_ENDED = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED")


def _last(connection: Connection, name: str, ended: list[int]) -> Any:
    """The job as it is at its end.

    Raises:
        SystemExit: This process is to end.
        CloudError: The job cannot be looked at.
    """
    failed, wait, said = 0, FIRST_WAIT, ""
    while True:
        try:
            job = with_retries(lambda: connection.jobs.get_custom_job(name=name, timeout=TIMEOUT))
            failed = 0
        except Exception as error:  # a network that is gone for a while does not end a training of days
            failed += 1
            if failed == MOST_LOOKS:
                raise CloudError(error_message(error)) from error
        else:
            if job.state.name != said:
                said = job.state.name
                logging.info("Job %s: %s", name, said)
            if said in _ENDED:
                return job
        end = time.monotonic() + wait
        while time.monotonic() < end:
            if ended:
                raise SystemExit(128 + ended[0])
            time.sleep(NAP)
        wait = min(wait * 1.5, LONGEST_WAIT)


def _cancel(connection: Connection, name: str) -> None:
    logging.info("Job %s is cancelled, since its step ends.", name)
    try:
        with_retries(lambda: connection.jobs.cancel_custom_job(name=name, timeout=TIMEOUT))
    except Exception as error:  # the end of the step is what is told
        logging.error("Job %s goes on: %s", name, error_message(error))


@contextlib.contextmanager
def _termination() -> Iterator[list[int]]:
    """Notes the SIGTERM by which Vertex AI ends a step; only Python's first thread can."""
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: noted.append(number))
    try:
        yield noted
    finally:
        signal.signal(signal.SIGTERM, before)


def _link(connection: Connection, name: str) -> str:
    place = f"locations/{connection.region}/training/{name.rpartition('/')[2]}?project={connection.project}"
    return f"https://console.cloud.google.com/ai/platform/{place}"


def _failures(folder: str) -> list[str]:
    found: list[str] = fileio.glob(os.path.join(folder, FAILURES.format("*")))
    return sorted(found)


def _reason(folder: str) -> str:
    """What a replica failed for by itself, rather than for want of another."""
    told = []
    for path in _failures(folder):
        with fileio.open(path, "r") as file:
            told.append(json.loads(file.read()))
    told.sort(key=lambda each: (each["kind"] in PEER_LOST, each["time"]))
    return f"{told[0]['name']}: {told[0]['text']}" if told else ""
