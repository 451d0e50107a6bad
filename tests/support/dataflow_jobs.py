"""Captures the job that a step submits to Dataflow, without network access."""

import dataclasses
import json
from collections.abc import Callable
from typing import IO, Any

import google.auth
import pytest
from apache_beam.io.gcp import gcsio
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.dataflow.internal.apiclient import DataflowApplicationClient, Job
from google.auth.credentials import AnonymousCredentials

JOB_FILE = "/job.json"


@dataclasses.dataclass
class SubmittedJob:
    """A job that was submitted to Google Cloud.

    Attributes:
        staged: Staged files by name.
    """

    staged: dict[str, bytes] = dataclasses.field(default_factory=dict)

    @property
    def job(self) -> dict[str, Any]:
        job: dict[str, Any] = json.loads(self.staged[JOB_FILE.removeprefix("/")])
        return job

    @property
    def pool(self) -> dict[str, Any]:
        """The worker pool."""
        [pool] = self.job["environment"]["workerPools"]
        return dict(pool)

    @property
    def graph(self) -> beam_runner_api_pb2.Pipeline:
        return beam_runner_api_pb2.Pipeline.FromString(self.staged["pipeline.pb"])


class SubmittedError(Exception):
    """Ends a step that would wait for its submitted job."""


def submitted_job(step: Callable[[], None]) -> SubmittedJob:
    """Runs a step until it submits its job; the step writes it to ``JOB_FILE``."""
    job = SubmittedJob()

    def stage(_client: object, _folder: str, name: str, stream: IO[bytes], *_: object) -> None:
        job.staged[name] = stream.read()

    def submit(_client: object, _job: Job) -> None:
        raise SubmittedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(google.auth, "default", lambda **_: (AnonymousCredentials(), None))
        patch.setattr(gcsio.GcsIO, "is_soft_delete_enabled", lambda *_: False)
        patch.setattr(DataflowApplicationClient, "stage_file", stage)
        patch.setattr(DataflowApplicationClient, "submit_job_description", submit)
        with pytest.raises(SubmittedError):
            step()
    return job
