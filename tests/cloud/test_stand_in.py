"""The stand-in, asked by Google's own client."""

import threading
import time
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1

from cloud import calls, vertex
from cloud.calls import wait_for_operation
from cloud.stand_in import StandIn
from cloud.vertex import Connection, connect

SPEC = {"pipelineInfo": {"name": "taxi"}, "schemaVersion": "2.1.0", "root": {"dag": {"tasks": {}}}}
PIPELINE = {"pipeline_spec": SPEC, "runtime_config": {"gcs_output_directory": "gs://bucket/root"}}
CONTAINER = {"image_uri": "region-docker.pkg.dev/p/r/serving", "ports": [{"container_port": 8501}]}
MACHINE = {"machine_spec": {"machine_type": "n2-standard-4"}, "min_replica_count": 1, "max_replica_count": 2}
POOL = {
    "machine_spec": {"machine_type": "n1-standard-4", "accelerator_type": "NVIDIA_TESLA_T4", "accelerator_count": 1},
    "replica_count": 1,
    "container_spec": {"image_uri": "image", "args": ["a"]},
}
STUDY_SPEC = {
    "metrics": [{"metric_id": "loss", "goal": "MINIMIZE"}],
    "parameters": [
        {"parameter_id": "rate", "double_value_spec": {"min_value": 1e-4, "max_value": 1e-1}, "scale_type": 2},
        {"parameter_id": "units", "integer_value_spec": {"min_value": 4, "max_value": 64}},
        {"parameter_id": "kind", "categorical_value_spec": {"values": ["a", "b"]}},
        {"parameter_id": "dropout", "discrete_value_spec": {"values": [0.0, 0.5]}},
    ],
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "FIRST_WAIT", 0.01)


def connection() -> Connection:
    return connect("my-project", "europe-west4")


def test_a_pipeline_job_is_kept_under_its_id_and_in_the_projects_number(stand_in: StandIn) -> None:
    here = connection()
    job = aiplatform_v1.PipelineJob(display_name="taxi", **PIPELINE)
    made = here.pipelines.create_pipeline_job(parent=here.parent, pipeline_job=job, pipeline_job_id="taxi-1")
    assert made.name == "projects/123456789012/locations/europe-west4/pipelineJobs/taxi-1"
    assert here.pipelines.get_pipeline_job(name=f"{here.parent}/pipelineJobs/taxi-1").display_name == "taxi"
    [request, _] = stand_in.requests
    assert (request.method, request.query["pipelineJobId"]) == ("POST", "taxi-1")
    assert request.path == "projects/my-project/locations/europe-west4/pipelineJobs"
    assert request.body["pipelineSpec"] == SPEC
    with pytest.raises(exceptions.Conflict):
        here.pipelines.create_pipeline_job(parent=here.parent, pipeline_job=job, pipeline_job_id="taxi-1")
    with pytest.raises(exceptions.BadRequest, match="gcsOutputDirectory"):
        here.pipelines.create_pipeline_job(parent=here.parent, pipeline_job=aiplatform_v1.PipelineJob())
    with pytest.raises(exceptions.NotFound):
        here.pipelines.get_pipeline_job(name=f"{here.parent}/pipelineJobs/another")


def test_a_schedule_is_listed_and_updated(stand_in: StandIn) -> None:
    here = connection()
    asked = {"parent": here.parent, "pipeline_job": PIPELINE}
    schedule = aiplatform_v1.Schedule(
        display_name="taxi", cron="0 3 * * *", max_concurrent_run_count=1, create_pipeline_job_request=asked
    )
    made = here.schedules.create_schedule(parent=here.parent, schedule=schedule)
    changed = aiplatform_v1.Schedule(name=made.name, cron="0 4 * * *", max_concurrent_run_count=9)
    here.schedules.update_schedule(schedule=changed, update_mask={"paths": ["cron"]})
    schedule.display_name = "other"
    here.schedules.create_schedule(parent=here.parent, schedule=schedule)
    [found] = here.schedules.list_schedules(request={"parent": here.parent, "filter": 'display_name="taxi"'})
    assert (found.name, found.cron, found.max_concurrent_run_count) == (made.name, "0 4 * * *", 1)
    bad = aiplatform_v1.Schedule(name=made.name, cron="daily")
    with pytest.raises(exceptions.BadRequest, match="cron"):
        here.schedules.update_schedule(schedule=bad, update_mask={"paths": ["cron"]})


@pytest.mark.parametrize(("error", "state"), [(None, "JOB_STATE_SUCCEEDED"), ("no rows", "JOB_STATE_FAILED")])
def test_a_custom_job_is_run_by_the_callback(
    error: str | None, state: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jobs, go_on = [], threading.Event()

    def run_job(job: dict[str, object]) -> str | None:
        jobs.append(job)
        go_on.wait(10)
        return error

    with StandIn(run_job) as stand_in:
        monkeypatch.setenv(vertex.ENDPOINT_VARIABLE, stand_in.endpoint)
        here = connection()
        job = aiplatform_v1.CustomJob(display_name="train", job_spec={"worker_pool_specs": [POOL]})
        made = here.jobs.create_custom_job(parent=here.parent, custom_job=job)
        assert made.state.name in ("JOB_STATE_PENDING", "JOB_STATE_RUNNING")
        go_on.set()
        ended = _ended(here, made.name)
    assert ended.state.name == state
    assert ended.error.message == (error or "")
    [asked] = jobs
    assert asked["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]["acceleratorType"] == "NVIDIA_TESLA_T4"  # type: ignore[index]
    assert asked["name"] == made.name


def test_a_custom_job_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = threading.Event()
    names = []

    def run_job(job: dict[str, object]) -> str | None:
        return None if cancelled.wait(10) else "never cancelled"

    def cancel_job(name: str) -> None:
        names.append(name)
        cancelled.set()

    with StandIn(run_job, cancel_job) as stand_in:
        monkeypatch.setenv(vertex.ENDPOINT_VARIABLE, stand_in.endpoint)
        here = connection()
        job = aiplatform_v1.CustomJob(display_name="train", job_spec={"worker_pool_specs": [POOL]})
        made = here.jobs.create_custom_job(parent=here.parent, custom_job=job)
        here.jobs.cancel_custom_job(name=made.name)
        assert _ended(here, made.name).state.name == "JOB_STATE_CANCELLED"
    assert names == [made.name]


def test_a_custom_job_ends_with_the_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = threading.Event()
    ended = []

    def run_job(job: dict[str, object]) -> str | None:
        ended.append(cancelled.wait(10))
        return None

    with StandIn(run_job, lambda _name: cancelled.set()) as stand_in:
        monkeypatch.setenv(vertex.ENDPOINT_VARIABLE, stand_in.endpoint)
        here = connection()
        job = aiplatform_v1.CustomJob(display_name="train", job_spec={"worker_pool_specs": [POOL]})
        name = here.jobs.create_custom_job(parent=here.parent, custom_job=job).name
        while here.jobs.get_custom_job(name=name).state.name != "JOB_STATE_RUNNING":
            time.sleep(0.01)
    assert ended == [True]


def _ended(here: Connection, name: str) -> aiplatform_v1.CustomJob:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        job = here.jobs.get_custom_job(name=name)
        if job.end_time:
            return job
        time.sleep(0.01)
    raise AssertionError("the job goes on")


def test_models_have_versions_and_aliases(stand_in: StandIn) -> None:
    here = connection()
    first = _upload(here, aliases=["pushed-1"])
    second = _upload(here, aliases=["pushed-2"], parent=first.model)
    assert (first.model_version_id, second.model_version_id, second.model) == ("1", "2", first.model)
    [found] = here.models.list_models(request={"parent": here.parent, "filter": 'display_name="taxi"'})
    assert (found.name, found.version_id) == (first.model, "1")  # the first is the default one
    assert not list(here.models.list_models(request={"parent": here.parent, "filter": 'display_name="other"'}))
    assert here.models.get_model(name=f"{first.model}@pushed-2").version_id == "2"
    assert [each.version_id for each in here.models.list_model_versions(name=first.model)] == ["1", "2"]
    wait_for_operation(here.models.delete_model_version(name=f"{first.model}@2"))
    assert [each.version_id for each in here.models.list_model_versions(name=first.model)] == ["1"]
    with pytest.raises(exceptions.BadRequest):
        here.models.delete_model_version(name=f"{first.model}@1")


def test_an_endpoint_gets_models_and_shares_its_traffic(stand_in: StandIn) -> None:
    here = connection()
    model = _upload(here).model
    endpoint = wait_for_operation(
        here.endpoints.create_endpoint(parent=here.parent, endpoint=aiplatform_v1.Endpoint(display_name="taxi"))
    )
    [found] = here.endpoints.list_endpoints(request={"parent": here.parent, "filter": 'display_name="taxi"'})
    assert found.name == endpoint.name
    first = _deploy(here, endpoint.name, model, {"0": 100})
    with pytest.raises(exceptions.BadRequest, match="sums to 90"):
        _deploy(here, endpoint.name, model, {"0": 10, first: 80})
    second = _deploy(here, endpoint.name, model, {"0": 10, first: 90})
    assert dict(here.endpoints.get_endpoint(name=endpoint.name).traffic_split) == {first: 90, second: 10}
    with pytest.raises(exceptions.BadRequest, match="has traffic"):
        here.endpoints.undeploy_model(endpoint=endpoint.name, deployed_model_id=first)
    found = here.endpoints.get_endpoint(name=endpoint.name)
    changed = aiplatform_v1.Endpoint(name=endpoint.name, traffic_split={second: 100}, etag=found.etag)
    here.endpoints.update_endpoint(endpoint=changed, update_mask={"paths": ["traffic_split"]})
    with pytest.raises(exceptions.Conflict):
        here.endpoints.update_endpoint(endpoint=changed, update_mask={"paths": ["traffic_split"]})
    wait_for_operation(here.endpoints.undeploy_model(endpoint=endpoint.name, deployed_model_id=first))
    assert [each.id for each in here.endpoints.get_endpoint(name=endpoint.name).deployed_models] == [second]


def _upload(here: Connection, aliases: list[str] | None = None, parent: str = "") -> aiplatform_v1.UploadModelResponse:
    model = {"display_name": "taxi", "container_spec": CONTAINER, "version_aliases": aliases or []}
    return wait_for_operation(
        here.models.upload_model(request={"parent": here.parent, "parent_model": parent, "model": model})
    )


def _deploy(here: Connection, endpoint: str, model: str, split: dict[str, int]) -> str:
    deployed = {"model": model, "dedicated_resources": MACHINE}
    operation = here.endpoints.deploy_model(endpoint=endpoint, deployed_model=deployed, traffic_split=split)
    return wait_for_operation(operation).deployed_model.id


def test_vizier_suggests_trials_and_accepts_measurements(stand_in: StandIn) -> None:
    here = connection()
    study = aiplatform_v1.Study(display_name="search", study_spec=STUDY_SPEC)
    made = here.vizier.create_study(parent=here.parent, study=study)
    with pytest.raises(exceptions.Conflict):
        here.vizier.create_study(parent=here.parent, study=study)
    assert here.vizier.lookup_study(request={"parent": here.parent, "display_name": "search"}).name == made.name
    assert [each.name for each in here.vizier.list_studies(parent=here.parent)] == [made.name]
    asked = {"parent": made.name, "suggestion_count": 2, "client_id": "one"}
    first, second = wait_for_operation(here.vizier.suggest_trials(request=asked)).trials
    values = {each.parameter_id: each.value for each in first.parameters}
    assert 1e-4 <= values["rate"] <= 1e-1
    assert 4 <= values["units"] <= 64
    assert values["kind"] in "ab"
    assert values["dropout"] in (0.0, 0.5)
    again = wait_for_operation(here.vizier.suggest_trials(request=asked)).trials
    assert [each.name for each in again] == [first.name, second.name]  # those that it has not ended
    other = wait_for_operation(
        here.vizier.suggest_trials(request={**asked, "client_id": "two", "suggestion_count": 1})
    ).trials
    assert other[0].name not in (first.name, second.name)
    measurement = {"step_count": 5, "metrics": [{"metric_id": "loss", "value": 0.25}]}
    here.vizier.add_trial_measurement(request={"trial_name": first.name, "measurement": measurement})
    early = here.vizier.check_trial_early_stopping_state(request={"trial_name": first.name})
    assert not wait_for_operation(early).should_stop
    here.vizier.complete_trial(request={"name": first.name})
    here.vizier.complete_trial(request={"name": second.name, "trial_infeasible": True, "infeasible_reason": "diverged"})
    states = {each.name: each.state.name for each in here.vizier.list_trials(parent=made.name)}
    assert states == {first.name: "SUCCEEDED", second.name: "INFEASIBLE", other[0].name: "ACTIVE"}
    assert here.vizier.get_trial(name=first.name).final_measurement.metrics[0].value == 0.25
    with pytest.raises(exceptions.BadRequest, match="has ended"):
        here.vizier.complete_trial(request={"name": first.name})


@pytest.mark.parametrize("done", [False, True])
def test_an_operation_fails(stand_in: StandIn, done: bool) -> None:
    here = connection()
    stand_in.fail("createEndpoint", "no room", code=8, done=done)
    operation = here.endpoints.create_endpoint(parent=here.parent, endpoint=aiplatform_v1.Endpoint(display_name="a"))
    with pytest.raises(exceptions.ResourceExhausted, match="no room"):
        wait_for_operation(operation)
    assert len(stand_in.resources("endpoints")) == int(done)


@pytest.mark.parametrize("status", [403, 404, 409, 429, 503])
def test_the_next_requests_are_refused(stand_in: StandIn, status: int) -> None:
    here = connection()
    stand_in.refuse("GET .*/endpoints$", status, times=2, message="not now")
    for _ in range(2):
        with pytest.raises(exceptions.GoogleAPICallError, match="not now") as caught:
            list(here.endpoints.list_endpoints(parent=here.parent))
        assert caught.value.code == status
    assert list(here.endpoints.list_endpoints(parent=here.parent)) == []
    assert len(stand_in.requests) == 3
