"""Pipeline jobs, their schedules, and custom jobs."""

import re
import threading
from collections.abc import Callable
from typing import TypeAlias

from cloud.stand_in.store import Call, RefusedError, Resource, Route, Store, now

# Executes a custom job, given as JSON. Returns an error in one line, or None.
RunJob: TypeAlias = Callable[[Resource], str | None]
# Ends a running custom job, by its name.
CancelJob: TypeAlias = Callable[[str], None]

_JOB_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")
_CRON = re.compile(r"((CRON_)?TZ=\S+ )?\S+( \S+){4}")
_LABEL_KEY, _LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}"), re.compile(r"[a-z0-9_-]{0,63}")
END_SECONDS = 30.0  # to wait for a cancelled job
ENDED = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED")


class Jobs:
    """Requests for jobs and schedules. Pipeline jobs are stored but not run. Custom jobs are run."""

    def __init__(self, store: Store, run_job: RunJob, cancel_job: CancelJob) -> None:
        self._store = store
        self._run_job = run_job
        self._cancel_job = cancel_job
        self._threads: list[threading.Thread] = []

    def routes(self) -> list[Route]:
        """The routes."""
        store = self._store
        return [
            ("POST", "pipelineJobs", "PipelineJob", self._create_pipeline),
            ("GET", "pipelineJobs", None, lambda call: store.listed("pipelineJobs", call)),
            ("GET", "(pipelineJobs/[^/:]+)", None, lambda call: store.get(call.ids[0])),
            ("POST", "schedules", "Schedule", self._create_schedule),
            ("GET", "schedules", None, lambda call: store.listed("schedules", call)),
            ("GET", "(schedules/[^/:]+)", None, lambda call: store.get(call.ids[0])),
            ("PATCH", "(schedules/[^/:]+)", "Schedule", self._update_schedule),
            ("POST", "customJobs", "CustomJob", self._create_custom),
            ("GET", "customJobs", None, lambda call: store.listed("customJobs", call)),
            ("GET", "(customJobs/[^/:]+)", None, lambda call: store.get(call.ids[0])),
            ("POST", "(customJobs/[^/:]+):cancel", None, self._cancel_custom),
        ]

    def end(self) -> None:
        """Cancels the running custom jobs and waits for them."""
        with self._store.lock:
            for job in self._store.children("customJobs"):
                self._cancel(job)
        for thread in self._threads:
            thread.join(END_SECONDS)

    def _create_pipeline(self, call: Call) -> Resource:
        job_id = call.query.get("pipelineJobId") or f"auto-{self._store.next_id()}"
        if not _JOB_ID.fullmatch(job_id):
            raise RefusedError(400, f"Invalid pipeline job id {job_id}.")
        _check_pipeline(call.body)
        return self._store.add(
            call.region, f"pipelineJobs/{job_id}", {**call.body, "state": "PIPELINE_STATE_PENDING", "startTime": now()}
        )

    def _create_schedule(self, call: Call) -> Resource:
        _check_schedule(call.body)
        created = {**call.body, "state": "ACTIVE", "startTime": now()}
        return self._store.add(call.region, f"schedules/{self._store.next_id()}", created)

    def _update_schedule(self, call: Call) -> Resource:
        schedule = self._store.get(call.ids[0])
        changed = {
            **schedule,
            **{key: call.body[key] for key in call.query["updateMask"].split(",") if key in call.body},
        }
        _check_schedule(changed)
        schedule.update(changed, updateTime=now())
        return schedule

    def _create_custom(self, call: Call) -> Resource:
        _check_labels(call.body)
        if not call.body.get("displayName") or not call.body.get("jobSpec", {}).get("workerPoolSpecs"):
            raise RefusedError(400, "A custom job needs displayName and jobSpec.workerPoolSpecs.")
        created = self._store.add(
            call.region, f"customJobs/{self._store.next_id()}", {**call.body, "state": "JOB_STATE_PENDING"}
        )
        thread = threading.Thread(target=self._run, args=(created,), daemon=True)
        self._threads.append(thread)
        thread.start()
        return created

    def _run(self, job: Resource) -> None:
        with self._store.lock:
            if job["state"] in ENDED:
                return
            job.update(state="JOB_STATE_RUNNING", startTime=now())
            requested = dict(job)
        try:
            error = self._run_job(requested)
        except Exception as raised:  # any error is the result of the job
            error = f"{type(raised).__name__}: {raised}"
        with self._store.lock:
            job["endTime"] = now()
            if job["state"] in ENDED:
                return
            job["state"] = "JOB_STATE_FAILED" if error else "JOB_STATE_SUCCEEDED"
            if error:
                job["error"] = {"code": 3, "message": error}

    def _cancel_custom(self, call: Call) -> Resource:
        self._cancel(self._store.get(call.ids[0]))
        return {}

    def _cancel(self, job: Resource) -> None:
        if job["state"] not in ENDED:
            job.update(state="JOB_STATE_CANCELLED", endTime=now())
            self._cancel_job(job["name"])


def _check_pipeline(job: Resource) -> None:
    _check_labels(job)
    root = job.get("runtimeConfig", {}).get("gcsOutputDirectory", "")
    if "pipelineSpec" not in job or not root:
        raise RefusedError(400, "A pipeline job needs pipelineSpec and runtimeConfig.gcsOutputDirectory.")


def _check_schedule(schedule: Resource) -> None:
    requested = schedule.get("createPipelineJobRequest", {})
    if not schedule.get("displayName") or not requested.get("parent"):
        raise RefusedError(400, "A schedule needs displayName and createPipelineJobRequest.parent.")
    if requested.get("pipelineJobId"):
        raise RefusedError(400, "Vertex AI names the runs of a schedule; pipelineJobId must not be set.")
    if not _CRON.fullmatch(schedule.get("cron", "")) or int(schedule.get("maxConcurrentRunCount", 0)) < 1:
        raise RefusedError(400, "A schedule needs a cron of five fields and maxConcurrentRunCount of 1 or more.")
    _check_pipeline(requested.get("pipelineJob", {}))


def _check_labels(resource: Resource) -> None:
    for key, value in resource.get("labels", {}).items():
        if not _LABEL_KEY.fullmatch(key) or not _LABEL.fullmatch(value):
            raise RefusedError(400, f"Invalid label {key}={value}.")
