import functools
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.config.errors import ConfigError
from pipeline.config.loading import load_vertex_config
from pipeline.config.vertex import Machine
from pipeline.preflight.preflight import CheckedInputs
from pipeline.preflight.schema import load_schema
from pipeline.vertex.compile import compile_pipeline, write_job
from pipeline.vertex.machines import cpus_and_memory, resources

GOLDEN = Path(__file__).parent / "golden/taxi.json"
TAXI = ROOT / "configs/taxi.yaml"
PLACE = {
    "project": "my-project",
    "region": "europe-west4",
    "bucket": "gs://my-bucket",
    "image": "europe-west4-docker.pkg.dev/my-project/onegraph/steps:1",
}


@functools.cache
def compiled(**overrides: str) -> dict[str, Any]:
    config = load_vertex_config(TAXI, {key.replace("__", "."): value for key, value in overrides.items()}, **PLACE)
    return compile_pipeline(CheckedInputs(config, load_schema(config, TAXI)))


def task(job: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = job["pipelineSpec"]["root"]["dag"]["tasks"][name]
    return found


def executor(job: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = job["pipelineSpec"]["deploymentSpec"]["executors"][f"{name}_executor"]["container"]
    return found


def test_compiled_file_matches_the_golden_file(tmp_path: Path) -> None:
    """Digests of code are masked, since every change of the code changes them."""
    write_job(compiled(), tmp_path / "taxi.json")
    text = re.sub(r"[0-9a-f]{64}", "<digest>", (tmp_path / "taxi.json").read_text())
    (tmp_path / "taxi.json").write_text(text)
    assert json.loads(text) == json.loads(GOLDEN.read_text()), f"if this is meant: cp {tmp_path}/taxi.json {GOLDEN}"


def test_compiled_file_is_a_pipeline_job_of_spec_2_1() -> None:
    job = compiled()
    json_format.ParseDict(job, pipeline_spec_pb2.PipelineJob())
    json_format.ParseDict(job["pipelineSpec"], pipeline_spec_pb2.PipelineSpec())
    assert job["pipelineSpec"]["schemaVersion"] == "2.1.0"


def test_model_is_pushed_only_if_both_components_bless_it() -> None:
    job = compiled()
    for name in ("TfliteExporter", "Pusher"):
        condition = task(job, name)["triggerPolicy"]["condition"]
        for key in ("model_blessing", "infra_blessing"):
            assert f"inputs.artifacts['{key}'].artifacts[0].metadata['blessed'] == 1.0" in condition
            assert key in task(job, name)["inputs"]["artifacts"]


def test_vertex_settings_are_in_the_file() -> None:
    key = "projects/p/locations/europe-west4/keyRings/r/cryptoKeys/k"
    job = compiled(
        vertex__labels="{team: taxi}",
        vertex__retries="3",
        vertex__encryption_key=key,
        vertex__machines="{Trainer: {type: n1-highmem-8, accelerator: NVIDIA_TESLA_T4, accelerators: 2}}",
    )
    assert job["labels"]["team"] == "taxi"
    assert job["encryptionSpec"] == {"kmsKeyName": key}
    assert task(job, "Trainer")["retryPolicy"]["maxRetryCount"] == 3
    assert "retryPolicy" not in task(job, "AnomalyGate")
    assert executor(job, "Trainer")["resources"] == {
        "cpuLimit": 8.0,
        "memoryLimit": 52.0,
        "accelerator": {"type": "NVIDIA_TESLA_T4", "count": "2"},
    }
    assert "resources" not in executor(job, "Transform")
    assert "retryPolicy" not in task(compiled(vertex__retries="0"), "Trainer")


def test_underscore_in_the_name_becomes_a_dash() -> None:
    job = compiled(name="my_taxi")
    assert job["pipelineSpec"]["pipelineInfo"]["name"] == "my-taxi"
    assert job["runtimeConfig"]["gcsOutputDirectory"] == "gs://my-bucket/my_taxi/artifacts"


def test_tuner_can_be_left_out_and_warm_start_added() -> None:
    job = compiled(tuning__enabled="false", training__warm_start="true")
    names = job["pipelineSpec"]["root"]["dag"]["tasks"]
    assert "Tuner" not in names
    source = task(job, "Trainer")["inputs"]["artifacts"]["base_model"]["taskOutputArtifact"]
    assert source["producerTask"] == "WarmStartModel-model-resolver"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"vertex__region": "Europe"}, "vertex.region"),
        ({"vertex__machines": "{Trainor: {type: n1-standard-4}}"}, "unknown node 'Trainor'; .*did you mean 'Trainer'"),
        ({"vertex__encryption_key": "k"}, "vertex.encryption_key"),
        ({"vertex__labels": "{Team: x}"}, "vertex.labels"),
        ({"vertex__schedule": "{cron: daily}"}, "vertex.schedule.cron"),
        ({"vertex__schedule": "{cron: 0 25 * * *}"}, "vertex.schedule.cron: found the hours '25'; expected"),
        (
            {"vertex__machines": "{Trainer: {accelerators: 4}}"},
            "vertex.machines.Trainer: 'accelerators' is 4 and 'accelerator' is missing",
        ),
        ({"vertex__service_account": "me"}, "vertex.service_account"),
        ({"beam__runner": "flink"}, "beam.runner: found 'flink'; expected 'local' on Vertex AI"),
        ({"dataflow": "{}"}, "data.path: found 'data/taxi'; expected gs://"),
        ({"data__path": "/data/taxi"}, "data.path: found '/data/taxi'; expected gs://…, or a path in the project"),
        ({"data__path": "s3://b/taxi"}, "data.path: found 's3://b/taxi'; expected gs://BUCKET or a folder in it"),
        ({"output": "s3://b/runs"}, "output: found 's3://b/runs'; expected gs://BUCKET or a folder in it"),
        ({"output": "gs://"}, "output: found 'gs://'; expected gs://BUCKET or a folder in it"),
    ],
)
def test_settings_that_vertex_ai_would_reject_are_refused(overrides: dict[str, str], message: str) -> None:
    place = {key: value for key, value in PLACE.items() if f"vertex__{key}" not in overrides}
    with pytest.raises(ConfigError, match=message):
        load_vertex_config(TAXI, {key.replace("__", "."): value for key, value in overrides.items()}, **place)


@pytest.mark.parametrize(
    ("machines", "message"),
    [
        ("{Trainer: {accelerator: NVIDIA_TELSA_T4}}", "Trainer.accelerator: unknown .*did you mean 'NVIDIA_TESLA_T4'"),
        ("{SkewGuard: {type: odd-machine-4}}", "SkewGuard.type: found the machine type 'odd-machine-4'; expected one"),
    ],
)
def test_unknown_machine_is_reported_with_its_key(machines: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^vertex.machines.{message}"):
        compiled(vertex__machines=machines)


@pytest.mark.parametrize("option", [*sorted(PLACE), "data"])
def test_empty_option_is_refused(option: str) -> None:
    with pytest.raises(ConfigError, match=f"^--{option}: "):
        load_vertex_config(TAXI, {f"vertex.{key}": value for key, value in PLACE.items()}, **{option: ""})


@pytest.mark.parametrize("name", sorted(PLACE))
def test_missing_setting_is_reported_with_its_option(name: str) -> None:
    place = {key: value for key, value in PLACE.items() if key != name}
    with pytest.raises(ConfigError, match=f"vertex.{name}: missing; set it there or with --{name}"):
        load_vertex_config(TAXI, {}, **place)


def test_invalid_option_is_reported() -> None:
    with pytest.raises(ConfigError, match=r"^--bucket: vertex\.bucket: found 'my-bucket'"):
        load_vertex_config(TAXI, {}, **{**PLACE, "bucket": "my-bucket"})


@pytest.mark.parametrize(
    ("machine", "size"),
    [
        ("n2-standard-8", (8, 32.0)),
        ("n1-standard-4", (4, 15.0)),
        ("n2-highcpu-16", (16, 16.0)),
        ("e2-highmem-2", (2, 16.0)),
        ("c3-highcpu-4", (4, 8.0)),
        ("n4-highcpu-8", (8, 16.0)),
        ("a2-highgpu-2g", (24, 170.0)),
    ],
)
def test_machine_types_have_cpus_and_memory(machine: str, size: tuple[int, float]) -> None:
    assert cpus_and_memory(Machine(type=machine)) == size


def test_machine_type_of_unknown_size_is_refused() -> None:
    with pytest.raises(ValueError, match="found the machine type 'a3-megagpu-8g'; expected one such as"):
        resources(Machine(type="a3-megagpu-8g"))
    with pytest.raises(ValueError, match="expected one such as n2-standard-8"):
        compiled(vertex__machines="{Transform: {type: cloud-tpu}}")


def test_file_is_written_atomically(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--out: cannot write .*missing/pipeline.json .No such file"):
        write_job({}, tmp_path / "missing/pipeline.json")
    with pytest.raises(ConfigError, match=r"--out: found '\.'; expected a file, such as pipeline.json"):
        write_job({}, Path(""))
    (tmp_path / "pipeline.json").mkdir()
    with pytest.raises(ConfigError, match="Is a directory"):
        write_job({}, tmp_path / "pipeline.json")
    assert [each.name for each in tmp_path.iterdir()] == ["pipeline.json"]


def test_job_does_not_replace_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=r"not a regular file; expected a file, such as pipeline\.json"):
        write_job({}, tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()
