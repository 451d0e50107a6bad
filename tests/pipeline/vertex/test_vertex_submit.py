from pathlib import Path
from typing import Any

import pytest

from cloud import calls, vertex
from cloud.stand_in import BROKEN, StandIn
from cloud.vertex import CloudError
from common.project import ROOT
from pipeline.config.loading import load_vertex_config
from pipeline.config.settings import Config
from pipeline.vertex.submit import submit

PLACE: dict[str, Any] = {
    "project": "my-project",
    "region": "europe-west4",
    "bucket": "gs://bucket",
    "image": "host/image:1",
}
PARENT = "projects/my-project/locations/europe-west4"
NAMED = "projects/123456789012/locations/europe-west4"
KEY = "projects/p/locations/europe-west4/keyRings/ring/cryptoKeys/key"
SETTINGS = {
    "vertex.service_account": "runs@my-project.iam.gserviceaccount.com",
    "vertex.network": "projects/123/global/networks/mine",
}
# Like a compiled pipeline, with the labels and the key of the settings.
JOB: dict[str, Any] = {
    "displayName": "compiled",
    "labels": {"tfx_version": "1-21-0", "team": "rides"},
    "encryptionSpec": {"kmsKeyName": KEY},
    "runtimeConfig": {
        "gcsOutputDirectory": "gs://bucket/taxi/artifacts",
        "parameterValues": {"steps": 60, "rate": 0.5},
    },
    "pipelineSpec": {
        "schemaVersion": "2.1.0",
        "pipelineInfo": {"name": "taxi"},
        "root": {"dag": {"tasks": {"Trainer": {"retryPolicy": {"maxRetryCount": 1}, "componentRef": {"name": "T"}}}}},
    },
}
LOST = [500, 502, 503, 504, BROKEN]


def config_with(**settings: str) -> Config:
    overrides = {key.replace("__", "."): value for key, value in settings.items()}
    return load_vertex_config(ROOT / "configs/taxi.yaml", {**SETTINGS, **overrides}, **PLACE)


def test_run_is_submitted_with_its_settings(stand_in: StandIn) -> None:
    submitted = submit(JOB, config_with())
    [request] = stand_in.requests
    assert (request.method, request.path) == ("POST", f"{PARENT}/pipelineJobs")
    assert request.body == {
        "displayName": "taxi",
        "labels": {"tfx_version": "1-21-0", "team": "rides"},
        "encryptionSpec": {"kmsKeyName": KEY},
        "runtimeConfig": JOB["runtimeConfig"],
        "pipelineSpec": JOB["pipelineSpec"],
        "serviceAccount": "runs@my-project.iam.gserviceaccount.com",
        "network": "projects/123/global/networks/mine",
    }
    job_id = request.query["pipelineJobId"]
    assert submitted.kind == "run"
    assert submitted.name == f"{NAMED}/pipelineJobs/{job_id}"
    assert submitted.link.endswith(f"/vertex-ai/locations/europe-west4/pipelines/runs/{job_id}?project=my-project")
    assert submitted.state == "PIPELINE_STATE_PENDING"


def test_unset_settings_are_not_sent(stand_in: StandIn) -> None:
    compiled = {key: value for key, value in JOB.items() if key != "encryptionSpec"}
    submit(compiled, load_vertex_config(ROOT / "configs/taxi.yaml", **PLACE))
    [request] = stand_in.requests
    assert not {"serviceAccount", "network", "encryptionSpec"} & set(request.body)
    assert request.body["labels"] == JOB["labels"]


def test_run_ids_are_unique(stand_in: StandIn) -> None:
    config = config_with(name="my_taxi")
    assert submit(JOB, config).name != submit(JOB, config).name
    assert all(request.query["pipelineJobId"].startswith("my-taxi-2") for request in stand_in.requests)


def test_schedule_is_created_once_and_then_updated(stand_in: StandIn) -> None:
    schedule = '{cron: "TZ=Europe/Berlin 0 3 * * *", max_concurrent_runs: 2}'
    first = submit(JOB, config_with(vertex__schedule=schedule))
    [made] = stand_in.resources("schedules")
    assert first.kind == "scheduled"
    assert first.name == made["name"]
    assert first.link.endswith(f"/pipelines/schedules/{made['name'].rpartition('/')[2]}?project=my-project")
    assert (made["displayName"], made["cron"]) == ("taxi", "TZ=Europe/Berlin 0 3 * * *")
    assert (made["maxConcurrentRunCount"], made["maxConcurrentActiveRunCount"]) == ("2", "2")
    asked = made["createPipelineJobRequest"]
    assert asked["parent"] == PARENT
    assert "pipelineJobId" not in asked
    assert asked["pipelineJob"]["serviceAccount"] == "runs@my-project.iam.gserviceaccount.com"
    assert asked["pipelineJob"]["pipelineSpec"] == JOB["pipelineSpec"]

    changed = {**JOB, "pipelineSpec": {**JOB["pipelineSpec"], "pipelineInfo": {"name": "changed"}}}
    second = submit(changed, config_with(vertex__schedule='{cron: "0 4 * * *"}'))
    [updated] = stand_in.resources("schedules")
    assert (second.kind, second.name, second.state) == ("rescheduled", first.name, "ACTIVE")
    assert (updated["cron"], updated["maxConcurrentActiveRunCount"]) == ("0 4 * * *", "1")
    assert updated["createPipelineJobRequest"]["pipelineJob"]["pipelineSpec"]["pipelineInfo"]["name"] == "changed"
    assert stand_in.resources("pipelineJobs") == []


def test_schedules_of_other_pipelines_are_left_alone(stand_in: StandIn) -> None:
    submit(JOB, config_with(vertex__schedule='{cron: "0 3 * * *"}'))
    submit(JOB, config_with(vertex__schedule='{cron: "0 4 * * *"}', name="other"))
    assert [(each["displayName"], each["cron"]) for each in stand_in.resources("schedules")] == [
        ("taxi", "0 3 * * *"),
        ("other", "0 4 * * *"),
    ]


@pytest.mark.parametrize("schedule", ["null", '{cron: "0 3 * * *"}'])
@pytest.mark.parametrize(
    ("status", "response", "expected"),
    [
        (403, "Permission 'aiplatform.pipelineJobs.create' denied", "grant it roles/aiplatform.user"),
        (404, "no such location", "check vertex.project and vertex.region"),
        (409, "being changed", "already exists, or is being changed"),
        (429, "too many runs", "the quota is exceeded"),
        (503, "down", "temporarily unavailable"),
    ],
)
def test_rejection_is_reported_in_one_line(
    stand_in: StandIn, status: int, response: str, expected: str, schedule: str
) -> None:
    stand_in.refuse("POST", status, times=99, message=response)
    with pytest.raises(CloudError) as caught:
        submit(JOB, config_with(vertex__schedule=schedule))
    assert str(caught.value).startswith("Vertex AI in my-project, europe-west4: ")
    assert response in str(caught.value)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    tries = len([request for request in stand_in.requests if request.method == "POST"])
    assert tries == (calls.MAX_TRIES if status in (429, 503) else 1)


@pytest.mark.parametrize("status", [429, 503])
def test_request_is_retried_with_the_same_run_id(stand_in: StandIn, status: int) -> None:
    stand_in.refuse("POST", status, times=3)
    submit(JOB, config_with())
    assert len(stand_in.resources("pipelineJobs")) == 1
    assert len({request.query["pipelineJobId"] for request in stand_in.requests}) == 1
    assert len(stand_in.requests) == 4


@pytest.mark.parametrize("status", LOST)
def test_lost_response_does_not_start_a_run_twice(stand_in: StandIn, status: int) -> None:
    stand_in.refuse("POST .*/pipelineJobs", status, after=True)
    submitted = submit(JOB, config_with())
    [made] = stand_in.resources("pipelineJobs")
    assert submitted.name == made["name"]


@pytest.mark.parametrize("status", LOST)
def test_lost_response_does_not_create_a_schedule_twice(stand_in: StandIn, status: int) -> None:
    stand_in.refuse("POST .*/schedules", status, after=True)
    submitted = submit(JOB, config_with(vertex__schedule='{cron: "0 3 * * *"}'))
    [made] = stand_in.resources("schedules")
    assert (submitted.kind, submitted.name) == ("scheduled", made["name"])


def test_completed_schedule_is_not_changed(stand_in: StandIn) -> None:
    settings = config_with(vertex__schedule='{cron: "0 3 * * *"}')
    ended = submit(JOB, settings)
    stand_in.change("schedules", state="COMPLETED")
    assert (submit(JOB, settings).kind, len(stand_in.resources("schedules"))) == ("scheduled", 2)
    again = submit(JOB, settings)
    assert (again.kind, again.name != ended.name) == ("rescheduled", True)


def test_two_schedules_with_the_same_name_are_refused(stand_in: StandIn) -> None:
    settings = config_with(vertex__schedule='{cron: "0 3 * * *"}')
    submit(JOB, settings)
    stand_in.change("schedules", displayName="other")
    submit(JOB, settings)
    stand_in.change("schedules", displayName="taxi")
    with pytest.raises(CloudError, match="found 2 schedules named taxi; expected one: delete the others"):
        submit(JOB, settings)


def test_invalid_job_is_refused(stand_in: StandIn) -> None:
    with pytest.raises(ValueError, match=r"not valid for Vertex AI: .*wrong"):
        submit({**JOB, "wrong": 1}, config_with())
    assert stand_in.requests == []


def test_without_credentials_it_says_how_to_log_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(vertex.ENDPOINT_VARIABLE, raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(CloudError, match="gcloud auth application-default login"):
        submit(JOB, config_with())
