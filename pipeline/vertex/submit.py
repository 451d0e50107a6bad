"""Submits a compiled pipeline to Vertex AI, as one run or as a schedule."""

import dataclasses
import datetime
import secrets
from typing import Any, Literal, TypeAlias

from google.api_core.exceptions import Conflict
from google.cloud import aiplatform_v1
from google.protobuf import json_format

from cloud.calls import TIMEOUT, with_retries
from cloud.vertex import Connection, connect, find_by_name, raising_cloud_errors, require_name
from pipeline.config.settings import Config

PipelineJob: TypeAlias = dict[str, Any]
CONSOLE = "https://console.cloud.google.com/vertex-ai/locations"
SCHEDULE_FIELDS = ("cron", "max_concurrent_run_count", "max_concurrent_active_run_count", "create_pipeline_job_request")


@dataclasses.dataclass(frozen=True)
class Submitted:
    """A run or a schedule on Vertex AI.

    Attributes:
        kind: ``run``, ``scheduled`` for a new schedule, or ``rescheduled`` for an updated one.
        name: Resource name of the run or the schedule.
        link: Its page in the Google Cloud console.
        state: State, such as ``PIPELINE_STATE_PENDING``, or ``PAUSED`` for a schedule that has to be resumed.
    """

    kind: Literal["run", "scheduled", "rescheduled"]
    name: str
    link: str
    state: str


def submit(job: PipelineJob, config: Config) -> Submitted:
    """Starts a run, or creates or updates the pipeline's schedule if ``vertex.schedule`` is set.

    Args:
        job: The compiled pipeline, from ``compile_pipeline``.
        config: The settings that it was compiled from.

    Returns:
        The run or the schedule.

    Raises:
        CloudError: Vertex AI rejects the request, or is unavailable after several tries.
        ValueError: The job is not a valid ``PipelineJob``.
    """
    vertex = config.vertex
    assert vertex.project  # checked when the settings are loaded
    assert vertex.region
    message = _message(job, config)
    connection = connect(vertex.project, vertex.region)
    with raising_cloud_errors():
        if vertex.schedule:
            return _put_schedule(connection, message, config)
        return _run(connection, message, config.pipeline_name)


def _message(job: PipelineJob, config: Config) -> Any:
    """Returns the job as a protobuf message, with the display name, service account and network."""
    vertex = config.vertex
    complete = {**job, "displayName": config.name}
    if vertex.service_account:
        complete["serviceAccount"] = vertex.service_account
    if vertex.network:
        complete["network"] = vertex.network
    message = aiplatform_v1.PipelineJob()
    try:
        json_format.ParseDict(complete, message._pb)
    except json_format.ParseError as error:
        raise ValueError(f"the compiled pipeline is not valid for Vertex AI: {error}; compile it again") from error
    return message


def _run(connection: Connection, message: Any, name: str) -> Submitted:
    time = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d%H%M%S")
    job_id = f"{name[:90]}-{time}-{secrets.token_hex(3)}"
    tries = 0

    def create() -> Any:
        nonlocal tries
        tries += 1
        return connection.pipelines.create_pipeline_job(
            parent=connection.parent, pipeline_job=message, pipeline_job_id=job_id, timeout=TIMEOUT
        )

    try:
        created = with_retries(create)
    except Conflict:
        if tries == 1:
            raise
        # A response was lost, so an earlier try created the run.
        created = with_retries(
            lambda: connection.pipelines.get_pipeline_job(
                name=f"{connection.parent}/pipelineJobs/{job_id}", timeout=TIMEOUT
            )
        )
    link = f"{CONSOLE}/{connection.region}/pipelines/runs/{job_id}?project={connection.project}"
    return Submitted("run", require_name(created).name, link, created.state.name)


def _put_schedule(connection: Connection, message: Any, config: Config) -> Submitted:
    """Creates the schedule, or updates the active one with that name. A retry does not create a second one."""
    assert config.vertex.schedule
    max_runs = config.vertex.schedule.max_concurrent_runs
    schedule = aiplatform_v1.Schedule(
        display_name=config.name,
        cron=config.vertex.schedule.cron,
        max_concurrent_run_count=max_runs,  # requests that start runs
        max_concurrent_active_run_count=max_runs,  # active runs
        create_pipeline_job_request={"parent": connection.parent, "pipeline_job": message},
    )

    def find() -> Any | None:
        schedules = connection.schedules.list_schedules
        return find_by_name(
            connection, schedules, "schedule", config.name, exclude=lambda each: each.state.name == "COMPLETED"
        )

    kind: Literal["scheduled", "rescheduled"] = "scheduled"
    if found := find():
        schedule.name, kind = found.name, "rescheduled"
        mask = {"paths": SCHEDULE_FIELDS}
        created = with_retries(
            lambda: connection.schedules.update_schedule(schedule=schedule, update_mask=mask, timeout=TIMEOUT)
        )
    else:
        created = with_retries(
            lambda: connection.schedules.create_schedule(parent=connection.parent, schedule=schedule, timeout=TIMEOUT),
            find_result=find,
        )
    number = created.name.rpartition("/")[2]
    link = f"{CONSOLE}/{connection.region}/pipelines/schedules/{number}?project={connection.project}"
    return Submitted(kind, require_name(created).name, link, created.state.name)
