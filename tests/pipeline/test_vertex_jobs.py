import json
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from google.cloud import aiplatform_v1
from google.protobuf import json_format
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.utils import name_utils
from tiny_problem import SCHEMA, settings_file

from models.training_settings import ModelConfig
from pipeline.config.errors import ConfigError
from pipeline.config.loading import load_config, load_vertex_config
from pipeline.config.settings import Config
from pipeline.nodes import TRAINER, TUNER
from pipeline.pipeline import create_pipeline
from pipeline.vertex_jobs import custom_job

IMAGE = "europe-docker.pkg.dev/one-project/images/steps:1"
PLACE = {"project": "one-project", "region": "europe-west4", "bucket": "gs://one-bucket", "image": IMAGE}
T4S = {"Trainer": {"type": "n1-standard-8", "accelerator": "NVIDIA_TESLA_T4", "accelerators": 2}}
TPU_V3 = {"Trainer": {"type": "cloud-tpu", "accelerator": "TPU_V3", "accelerators": 8}}


def on_vertex(folder: Path, **values: Any) -> Config:
    """The tiny problem's settings for Vertex AI, with overrides by dotted key (``__`` for the dot)."""
    overrides = {key.replace("__", "."): json.dumps(value) for key, value in values.items()}
    return load_vertex_config(settings_file(folder), overrides, data="gs://one-bucket/table", **PLACE)


def pools(config: Config, node: str = TRAINER) -> list[tuple[dict[str, Any], int]]:
    """Machine and number of replicas of each pool."""
    job = custom_job(config, node)
    assert job
    return [(each["machineSpec"], int(each["replicaCount"])) for each in job["jobSpec"]["workerPoolSpecs"]]


def assert_is_a_custom_job(config: Config, node: str) -> None:
    job = custom_job(config, node)
    proto = json_format.ParseDict(job, aiplatform_v1.CustomJob.pb()())  # refuses unknown fields
    read = json_format.MessageToDict(proto)
    for pool in read["jobSpec"]["workerPoolSpecs"]:
        pool["replicaCount"] = int(pool["replicaCount"])  # an int64, which is a string in JSON
    assert read == job


def refusal(folder: Path, **values: Any) -> str:
    with pytest.raises(ConfigError) as error:
        on_vertex(folder, **values)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("strategy", ["auto", "one_device", "mirrored", "multi_worker"])
def test_single_process_needs_no_job(tmp_path: Path, strategy: str) -> None:
    config = on_vertex(tmp_path, training__strategy=strategy, vertex__machines=T4S)
    assert custom_job(config, TRAINER) is None
    assert custom_job(config, TUNER) is None


@pytest.mark.parametrize("strategy", ["auto", "multi_worker"])
def test_workers_are_a_chief_and_the_others(tmp_path: Path, strategy: str) -> None:
    config = on_vertex(tmp_path, training__strategy=strategy, training__workers=4, vertex__machines=T4S)
    gpus = {"machineType": "n1-standard-8", "acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 2}
    assert pools(config) == [(gpus, 1), (gpus, 3)]
    job = custom_job(config, TRAINER)
    assert job
    assert {each["containerSpec"]["imageUri"] for each in job["jobSpec"]["workerPoolSpecs"]} == {IMAGE}
    assert job["jobSpec"]["scheduling"] == {"restartJobOnWorkerRestart": True}
    assert_is_a_custom_job(config, TRAINER)


def test_reduction_servers_are_the_third_pool_and_workers_get_their_number(tmp_path: Path) -> None:
    config = on_vertex(
        tmp_path,
        training__workers=2,
        vertex__machines=T4S,
        vertex__reduction_servers={"count": 3, "machine": "n1-highcpu-16"},
    )
    job = custom_job(config, TRAINER)
    assert job
    chief, worker, reducers = job["jobSpec"]["workerPoolSpecs"]
    assert (chief["replicaCount"], worker["replicaCount"], reducers["replicaCount"]) == (1, 1, 3)
    assert reducers["machineSpec"] == {"machineType": "n1-highcpu-16"}
    assert reducers["containerSpec"]["imageUri"].endswith("/reductionserver:latest")
    assert (
        chief["containerSpec"]["env"] == worker["containerSpec"]["env"] == [{"name": "REDUCTION_SERVERS", "value": "3"}]
    )
    assert_is_a_custom_job(config, TRAINER)


def test_parameter_servers_are_the_third_pool(tmp_path: Path) -> None:
    config = on_vertex(
        tmp_path,
        training={"strategy": "parameter_server", "workers": 3, "parameter_servers": 2},
        vertex__parameter_servers={"type": "n2-highmem-8"},
    )
    own = {"machineType": "n2-standard-4"}
    assert pools(config) == [(own, 1), (own, 3), ({"machineType": "n2-highmem-8"}, 2)]
    job = custom_job(config, TRAINER)
    assert job
    assert "scheduling" not in job["jobSpec"], "workers come and go"
    assert_is_a_custom_job(config, TRAINER)


@pytest.mark.parametrize(
    ("machine", "spec"),
    [
        (TPU_V3["Trainer"], {"machineType": "cloud-tpu", "acceleratorType": "TPU_V3", "acceleratorCount": 8}),
        ({"type": "ct5lp-hightpu-4t"}, {"machineType": "ct5lp-hightpu-4t", "tpuTopology": "2x2"}),
        ({"type": "ct6e-standard-8t"}, {"machineType": "ct6e-standard-8t", "tpuTopology": "2x4"}),
    ],
)
def test_a_tpu_is_one_pool_of_one_host(tmp_path: Path, machine: dict[str, Any], spec: dict[str, Any]) -> None:
    config = on_vertex(tmp_path, training__strategy="tpu", vertex__machines={"Trainer": machine})
    assert pools(config) == [(spec, 1)]
    job = custom_job(config, TRAINER)
    assert job
    assert job["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["env"] == [{"name": "TPU_NAME", "value": "local"}]
    assert_is_a_custom_job(config, TRAINER)


def test_parallel_trials_are_a_chief_and_the_others(tmp_path: Path) -> None:
    search = {"learning_rate": {"min": 0.001, "max": 0.1}}
    config = on_vertex(
        tmp_path, tuning={"workers": 3, "search": search}, vertex__machines={"Tuner": {"type": "e2-standard-8"}}
    )
    own = {"machineType": "e2-standard-8"}
    assert pools(config, TUNER) == [(own, 1), (own, 2)]
    assert custom_job(config, TRAINER) is None
    assert_is_a_custom_job(config, TUNER)


def test_job_has_account_network_key_and_labels(tmp_path: Path) -> None:
    config = on_vertex(
        tmp_path,
        training__workers=2,
        vertex__service_account="runs@one-project.iam.gserviceaccount.com",
        vertex__network="projects/7/global/networks/own",
        vertex__encryption_key="projects/p/locations/r/keyRings/k/cryptoKeys/c",
        vertex__labels={"team": "fares"},
    )
    job = custom_job(config, TRAINER)
    assert job
    assert job["displayName"] == "tiny-trainer"
    assert job["labels"] == {"team": "fares"}
    assert job["encryptionSpec"] == {"kmsKeyName": "projects/p/locations/r/keyRings/k/cryptoKeys/c"}
    assert job["jobSpec"]["serviceAccount"] == "runs@one-project.iam.gserviceaccount.com"
    assert job["jobSpec"]["network"] == "projects/7/global/networks/own"
    assert_is_a_custom_job(config, TRAINER)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"vertex__reduction_servers": {}, "training__workers": 2}, "and no GPUs in vertex.machines.Trainer"),
        (
            {"vertex__reduction_servers": {}, "vertex__machines": T4S},
            "found training.strategy 'auto', training.workers 1",
        ),
        ({"training__strategy": "tpu"}, "vertex.machines.Trainer: found no machine, with training.strategy 'tpu'"),
        ({"training__strategy": "tpu", "vertex__machines": T4S}, "found n1-standard-8, with training.strategy 'tpu'"),
        (
            {"vertex__machines": TPU_V3},
            "found cloud-tpu, with training.strategy 'auto'; expected a machine without a TPU",
        ),
    ],
)
def test_unfit_machines_are_refused(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    assert message in refusal(tmp_path, **values)


def test_vizier_is_refused_for_local_runs() -> None:
    with pytest.raises(ConfigError, match=r"tuning\.algorithm: found 'vizier'"):
        load_config(ROOT / "configs/taxi.yaml", {"tuning.algorithm": "vizier"})
    load_config(ROOT / "configs/taxi.yaml", {"tuning.algorithm": "vizier"}, tune=False)


def executor_and_settings(node: BaseNode) -> tuple[str, dict[str, Any]]:
    spec = node.executor_spec
    assert isinstance(spec, ExecutorClassSpec)
    return name_utils.get_full_name(spec.executor_class), json.loads(node.exec_properties["custom_config"])


def test_nodes_have_the_executors_that_start_their_jobs(tmp_path: Path) -> None:
    tuning = {"workers": 2, "search": {"learning_rate": {"min": 0.001, "max": 0.1}}}
    config = on_vertex(tmp_path, training__workers=2, tuning=tuning)
    nodes = {node.id: node for node in create_pipeline(config, SCHEMA).components}
    for name, executor in ((TRAINER, "JobTrainer"), (TUNER, "VertexTuner")):
        path, settings = executor_and_settings(nodes[name])
        assert path == f"custom_components.vertex_jobs.executor.{executor}"
        job = custom_job(config, name)
        place = {"project": "one-project", "region": "europe-west4", "image": IMAGE}
        assert settings.pop("vertex") == {**place, "job": job}
        ModelConfig.from_config(settings)


def test_single_worker_uses_vizier_without_a_job(tmp_path: Path) -> None:
    search = {"learning_rate": {"min": 0.001, "max": 0.1}}
    config = on_vertex(tmp_path, tuning={"algorithm": "vizier", "search": search})
    nodes = {node.id: node for node in create_pipeline(config, SCHEMA).components}
    path, settings = executor_and_settings(nodes[TUNER])
    assert path == "custom_components.vertex_jobs.executor.VertexTuner"
    assert settings["vertex"]["job"] is None


def test_single_process_uses_the_executor_of_tfx(tmp_path: Path) -> None:
    for node in create_pipeline(on_vertex(tmp_path), SCHEMA).components:
        if node.id == TRAINER:
            path, settings = executor_and_settings(node)
            assert path == "tfx.components.trainer.executor.GenericExecutor"
            assert "vertex" not in settings
