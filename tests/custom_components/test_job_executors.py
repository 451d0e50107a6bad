import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import artifact_utils
from training_job import HYPERPARAMETERS, PROBLEM, TRAINING, assert_same_weights, training_job
from vertex_node import TRAINER_OUTPUTS, TUNER_OUTPUTS, Artifacts, filled, inputs, outputs, pool, properties

from artifacts.names import TRAINING_FILE
from cloud.stand_in import LocalJobs, StandIn
from cloud.vertex import ENDPOINT_VARIABLE
from custom_components.vertex_jobs import job as vertex_job
from custom_components.vertex_jobs.executor import JobTrainer, VertexTuner
from custom_components.vertex_jobs.failures import write_failure
from custom_components.vertex_jobs.job import JobFailedError
from models.distributed.task import SINGLE_PROCESS, Task
from models.training.trainer import train
from models.training_settings import ModelConfig, Network, Range, Training, Tuning

Job = dict[str, Any]
RATES = {"learning_rate": Range(min=0.001, max=0.1, sampling="log")}


def config(tuning: Tuning | None = None, **training: Any) -> ModelConfig:
    network = Network(hyperparameters=HYPERPARAMETERS)
    return ModelConfig(problem=PROBLEM, network=network, training=Training(**{**TRAINING, **training}), tuning=tuning)


@contextmanager
def vertex(
    monkeypatch: pytest.MonkeyPatch, run: Callable[[Job], str | None], cancel: Callable[[str], None] = lambda _: None
) -> Iterator[StandIn]:
    monkeypatch.setattr(vertex_job, "FIRST_WAIT", 0.05)
    with StandIn(run, cancel) as stand_in:
        monkeypatch.setenv(ENDPOINT_VARIABLE, stand_in.endpoint)
        yield stand_in


def context(folder: Path, run: str = "run-1") -> BaseExecutor.Context:
    """As Vertex AI's entry point makes it for a task of a run."""
    task = folder / run / "Tuner_7"
    return BaseExecutor.Context(tmp_dir=str(task / ".temp"), unique_id=task.name)


def train_on_vertex(folder: Path, *pools: Job, rows: Artifacts | None = None, **training: Any) -> None:
    given = rows or inputs(folder), outputs(folder, TRAINER_OUTPUTS), properties(config(**training), "run_fn", *pools)
    JobTrainer().Do(*given)


def test_each_replica_runs_tfxs_trainer_with_the_steps_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pools = pool(1, REDUCTION_SERVERS="2"), pool(1), pool(2, "google/reductionserver")
    with vertex(monkeypatch, lambda _: None) as stand_in:
        train_on_vertex(tmp_path, *pools, workers=2)
        [made] = stand_in.resources("customJobs")
    chief, worker, reducers = (each["containerSpec"] for each in made["jobSpec"]["workerPoolSpecs"])
    assert chief["command"] == worker["command"] == ["python", "-m", "custom_components.vertex_jobs.replica"]
    assert "command" not in reducers
    assert chief["env"] == [{"name": "REDUCTION_SERVERS", "value": "2"}]
    run_dir = str(tmp_path / "model_run") + "/"
    assert made["jobSpec"]["baseOutputDirectory"] == {"outputUriPrefix": run_dir}
    assert chief["args"][0] == run_dir
    said = dict(each.removeprefix("--").split("=", 1) for each in chief["args"][1:])
    assert said["executor_class_path"] == "tfx.components.trainer.executor.GenericExecutor"
    [examples] = artifact_utils.parse_artifact_dict(said["inputs"])["examples"]
    assert (examples.uri, examples.split_names) == (str(tmp_path / "examples"), '["train", "validation"]')
    assert artifact_utils.parse_artifact_dict(said["outputs"])["model"][0].uri == str(tmp_path / "model")
    own = json.loads(said["exec-properties"])
    assert own["run_fn"] == "models.run_fn.run_fn"
    assert ModelConfig.from_config(json.loads(own["custom_config"])) == config(workers=2)


def test_a_failed_job_is_reported_in_one_line_with_its_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(tmp_path / "model_run")
    write_failure(folder, Task({}, "worker", 1), ValueError("of an earlier attempt"))

    class UnavailableError(Exception):
        """TensorFlow's, of a process whose peer is gone."""

    def fail(_: Job) -> str:
        write_failure(folder, Task({}, "worker", 0), UnavailableError("no chief"))
        write_failure(folder, SINGLE_PROCESS, ValueError("no rows"))
        return "The replica workerpool1-0 exited with a non-zero status of 1"

    with vertex(monkeypatch, fail), pytest.raises(JobFailedError) as error:
        train_on_vertex(tmp_path, pool(1), pool(1), workers=2)
    assert str(error.value).startswith("the job tiny failed: chief: no rows; see https://console.cloud.google.com/")
    assert "europe-west4/training/" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_job_without_a_recorded_failure_is_reported_with_vertex_ais_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        vertex(monkeypatch, lambda _: "The replica workerpool0-0 ran out of memory"),
        pytest.raises(JobFailedError, match="the job tiny failed: The replica workerpool0-0 ran out of memory; see"),
    ):
        train_on_vertex(tmp_path, pool(1), pool(1), workers=2)


def test_the_end_of_the_step_cancels_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    cancelled = threading.Event()

    def run(_: Job) -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        assert cancelled.wait(20)
        return "it was cancelled"

    with vertex(monkeypatch, run, lambda _: cancelled.set()) as stand_in:
        with pytest.raises(SystemExit) as ended:
            train_on_vertex(tmp_path, pool(1), pool(1), workers=2)
        assert ended.value.code == 128 + signal.SIGTERM
        assert [each["state"] for each in stand_in.resources("customJobs")] == ["JOB_STATE_CANCELLED"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interrupted_network_does_not_end_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with vertex(monkeypatch, lambda _: time.sleep(0.3)) as stand_in:
        stand_in.refuse("GET .*customJobs/", 500, times=3)
        train_on_vertex(tmp_path, pool(1), pool(1), workers=2)


@pytest.mark.slow
def test_two_replicas_train_like_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = training_job(tmp_path / "alone")
    train(alone, SINGLE_PROCESS)
    # Vertex AI names reduction servers as parameter servers; they are not started here.
    pools = (pool(1, REDUCTION_SERVERS="1"), pool(1, REDUCTION_SERVERS="1"), pool(1, "google/reductionserver"))
    jobs = LocalJobs(tmp_path)
    with vertex(monkeypatch, jobs.run_job, jobs.cancel_job):
        train_on_vertex(tmp_path, *pools, rows=filled(tmp_path), workers=2)
    together = training_job(tmp_path / "together")
    assert_same_weights(
        type(together)(**{**vars(together), "model_dir": str(tmp_path / "model/Format-Serving")}), alone
    )
    record = json.loads((tmp_path / "model_run" / TRAINING_FILE).read_text())
    assert (record["strategy"], record["workers"], record["steps"]) == ("multi_worker", 2, 60)
    assert record["logs"] == f"{tmp_path}/model_run/logs/"
    assert list((tmp_path / "model_run/logs/train").glob("events.*"))


@pytest.mark.slow
def test_the_step_reports_why_a_replica_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = LocalJobs(tmp_path)
    given = {"strategy": "parameter_server", "workers": 1, "parameter_servers": 1, "batch_size": 60}
    with (
        vertex(monkeypatch, jobs.run_job, jobs.cancel_job),
        pytest.raises(JobFailedError, match=r"training\.strategy: found 'parameter_server', but TF_CONFIG has no ps"),
    ):
        train_on_vertex(tmp_path, pool(1), pool(1), rows=filled(tmp_path), **given)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["random", "vizier"])
def test_replicas_share_the_trials_of_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str) -> None:
    tuning = Tuning(algorithm=algorithm, trials=4, steps=8, workers=2, search=RATES)  # type: ignore[arg-type]
    made = outputs(tmp_path, TUNER_OUTPUTS)
    jobs = LocalJobs(tmp_path)
    with vertex(monkeypatch, jobs.run_job, jobs.cancel_job) as stand_in:
        executor = VertexTuner(context(tmp_path))
        executor.Do(filled(tmp_path), made, properties(config(tuning), "tuner_fn", pool(1), pool(1)))
        trials = stand_in.resources("studies/1/trials") if algorithm == "vizier" else []
    results = json.loads((tmp_path / "tuner_results/tuner_results.json").read_text())
    assert len(results) == 4
    scores = [each["score"] for each in results]
    assert scores == sorted(scores)
    best = json.loads((tmp_path / "best_hyperparameters/best_hyperparameters.txt").read_text())
    assert best["values"]["learning_rate"] == results[0]["learning_rate"]
    logs = [path.read_text() for path in sorted(tmp_path.glob("tiny-workerpool*.log"))]
    told = [text.count("val_loss 0.") for text in logs]
    assert len(told) == 2
    assert all(told), "one of them ran no trial"
    if algorithm == "vizier":
        assert {each["clientId"] for each in trials} == {"chief", "worker 0"}
