import dataclasses
import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import yaml
from absl.testing import flagsaver
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from conftest import ROOT
from dataflow_jobs import JOB_FILE, SubmittedJob, submitted_job
from google.cloud.bigquery import SchemaField
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor
from tfx.types import Artifact, artifact_utils
from tfx.types.standard_artifacts import (
    Examples,
    ExampleStatistics,
    Model,
    ModelBlessing,
    ModelEvaluation,
    Schema,
    TransformGraph,
)
from tfx.utils import path_utils
from tfx_bsl.coders.batch_util import GetBatchElementsKwargs
from tiny_models import write_model

from custom_components.bigquery_example_gen import executor
from pipeline.beam.arguments import BATCH_BY_SIZE, beam_args, own_beam_args
from pipeline.beam.dataflow import SETTINGS
from pipeline.config.errors import ConfigError
from pipeline.config.loading import load_config, load_vertex_config
from pipeline.config.settings import SPLITS, Config
from pipeline.nodes import BEAM_NODES
from pipeline.pipeline import create_pipeline
from pipeline.preflight.preflight import CheckedInputs
from pipeline.preflight.table import check_table
from pipeline.vertex.compile import compile_pipeline

STEPS_IMAGE = "europe-docker.pkg.dev/our-project/steps/image:1"
WORKERS_IMAGE = "europe-docker.pkg.dev/our-project/beam/image:2"
KEY = "projects/our-project/locations/europe-west4/keyRings/ours/cryptoKeys/ours"
NETWORK = "projects/our-project/global/networks/ours"
MACHINES = dict(zip(BEAM_NODES, ("n2-standard-2", "n2-highmem-4", "n2-highmem-8", "n2-highmem-16"), strict=True))
FEATURES: dict[str, Any] = {"dense": {"fare": {}}, "vocabulary": {"payment_type": {}}}
Inputs = dict[str, list[Artifact]]
SCHEMA = (ROOT / "schema/taxi/schema.pbtxt").read_text()


def config(**overrides: Any) -> Config:
    """Settings of the taxi problem for Vertex AI; dotted keys are written with double underscores."""
    settings: dict[str, Any] = {"features": FEATURES, "dataflow": {}, "data.path": "gs://ours/table"}
    settings |= {key.replace("__", "."): value for key, value in overrides.items()}
    texts = {key: yaml.safe_dump(value, default_flow_style=True) for key, value in settings.items()}
    place = {"project": "our-project", "region": "europe-west4", "bucket": "gs://ours", "image": STEPS_IMAGE}
    return load_vertex_config(ROOT / "configs/taxi.yaml", texts, **place)


def options(**overrides: Any) -> dict[str, Any]:
    """Beam's options, parsed from the arguments."""
    return dict(PipelineOptions(beam_args(config(**overrides))).get_all_options())


@functools.cache
def wired() -> dict[str, BaseNode]:
    dataflow = {
        "image": WORKERS_IMAGE,
        "machine": "n2-standard-16",
        "machines": {name: machine for name, machine in MACHINES.items() if name != "ExampleGen"},
        "max_workers": 5,
        "disk_gb": 60,
        "subnetwork": "regions/europe-west4/subnetworks/ours",
        "public_ips": False,
        "flexrs": True,
        "options": {"dataflow_service_options": "enable_prime"},
    }
    vertex = {"service_account": "steps@our-project.iam.gserviceaccount.com", "encryption_key": KEY}
    settings = config(dataflow=dataflow, vertex={**vertex, "labels": {"team": "ours"}})
    return {node.id: node for node in create_pipeline(settings, SCHEMA).components}


def an_artifact(kind: type[Artifact], folder: Path) -> Artifact:
    artifact = kind()
    artifact.uri = str(folder / kind.TYPE_NAME)
    return artifact


def rows_in(folder: Path, splits: Sequence[str] = SPLITS) -> Inputs:
    """Examples with one row per file. The job graph only contains the paths."""
    examples = an_artifact(Examples, folder)
    examples.split_names = artifact_utils.encode_split_names(list(splits))
    for split in splits:
        path = Path(examples.uri) / f"Split-{split}"
        path.mkdir(parents=True)
        for part in range(2):
            with tf.io.TFRecordWriter(str(path / f"data_tfrecord-0000{part}-of-00002.gz"), "GZIP") as writer:
                writer.write(tf.train.Example().SerializeToString())
    return {"examples": [examples]}


def schema_in(folder: Path) -> Inputs:
    schema = an_artifact(Schema, folder)
    Path(schema.uri).mkdir()
    (Path(schema.uri) / "schema.pbtxt").write_text(SCHEMA)
    return {"schema": [schema]}


def model_in(folder: Path) -> Inputs:
    model = an_artifact(Model, folder)
    write_model(Path(path_utils.serving_model_dir(model.uri)))
    return {"model": [model]}


NODES: dict[str, tuple[list[Callable[[Path], Inputs]], dict[str, type[Artifact]]]] = {
    "ExampleGen": ([], {"examples": Examples}),
    "StatisticsGen": ([functools.partial(rows_in, splits=["train"])], {"statistics": ExampleStatistics}),
    "Transform": ([rows_in, schema_in], {"transform_graph": TransformGraph}),
    "Evaluator": ([rows_in, schema_in, model_in], {"evaluation": ModelEvaluation, "blessing": ModelBlessing}),
}

# Transforms that distribute files over workers, by node.
SPREAD = {
    "ExampleGen": {"Read"},
    "StatisticsGen": {"Read[train]"},
    "Transform": {"ReadToAnalyze", *(f"Transform[{split}][0]" for split in SPLITS)},
}


def submitted_job_node(name: str, folder: Path) -> SubmittedJob:
    """Runs the executor of a node until it submits its job."""
    node = wired()[name]
    makers, kinds = NODES[name]
    inputs: Inputs = {key: value for make in makers for key, value in make(folder).items()}
    outputs = {key: [an_artifact(kind, folder / "out")] for key, kind in kinds.items()}
    if name == "Transform":
        outputs["transformed_examples"] = [an_artifact(Examples, folder / "out")]
    properties = dict(node.exec_properties)
    if name == "ExampleGen":
        for part in range(2):
            (folder / f"part-{part}.csv").write_text("fare,company\n1.5,one\n2.5,two\n")
        properties["input_base"] = str(folder)
    return submitted_job_executor(node, inputs, outputs, folder, properties)


def submitted_job_executor(
    node: BaseNode, inputs: Inputs, outputs: Inputs, folder: Path, properties: dict[str, Any] | None = None
) -> SubmittedJob:
    spec = node.executor_spec
    context = spec.executor_class.Context(
        beam_pipeline_args=[*spec.beam_pipeline_args, f"--dataflow_job_file={JOB_FILE}"],
        tmp_dir=str(folder / "temporary"),
    )
    return submitted_job(
        lambda: spec.executor_class(context).Do(inputs, outputs, properties or dict(node.exec_properties))
    )


@pytest.mark.parametrize("node", BEAM_NODES)
def test_each_node_submits_a_job_with_its_settings(node: str, tmp_path: Path) -> None:
    sent = submitted_job_node(node, tmp_path)
    environment, pool = sent.job["environment"], sent.pool
    assert "use_runner_v2" in environment["experiments"]
    assert environment["serviceAccountEmail"] == "steps@our-project.iam.gserviceaccount.com"
    assert environment["serviceKmsKeyName"] == KEY
    assert environment["flexResourceSchedulingGoal"] == "FLEXRS_COST_OPTIMIZED"
    assert environment["serviceOptions"] == ["enable_prime"]
    assert re.match(r"storage.googleapis.com/ours/taxi/beam/temp/", environment["tempStoragePrefix"])
    assert [each["containerImage"] for each in pool["sdkHarnessContainerImages"]] == [WORKERS_IMAGE]
    assert pool["machineType"] == ("n2-standard-16" if node == "ExampleGen" else MACHINES[node])
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 5
    assert pool["diskSizeGb"] == 60
    assert pool["subnetwork"] == "regions/europe-west4/subnetworks/ours"
    assert pool["ipConfiguration"] == "WORKER_IP_PRIVATE"
    labels = sent.job["labels"]
    assert {key: labels[key] for key in ("pipeline", "node", "team")} == {
        "pipeline": "taxi",
        "node": node.lower(),
        "team": "ours",
    }
    # Only a list of the installed packages; no code and no main session.
    assert set(sent.staged) - {"job.json"} == {"pipeline.pb", "submission_environment_dependencies.txt"}
    assert [each["name"] for each in pool["packages"]] == ["submission_environment_dependencies.txt"]
    names = [each.unique_name for each in sent.graph.components.transforms.values()]
    # Otherwise one worker would read all files.
    reads = {name.partition("/")[0] for name in names if "Read" in name and "Reshuffle" in name}
    assert reads == SPREAD.get(node, set())


QUERY = "SELECT fare, company FROM `ours.trips`"


def by_query(**overrides: Any) -> Config:
    return config(data__path="", data__bigquery={"query": QUERY}, **overrides)


def test_a_query_is_read_on_dataflow_by_an_export(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fields = [SchemaField("fare", "FLOAT"), SchemaField("company", "STRING")]
    monkeypatch.setattr(executor, "query_schema", lambda query, project: {QUERY: fields}[query])
    nodes = {node.id: node for node in create_pipeline(by_query(vertex__encryption_key=KEY), SCHEMA).components}
    sent = submitted_job_executor(nodes["ExampleGen"], {}, {"examples": [an_artifact(Examples, tmp_path)]}, tmp_path)
    [read] = [each for each in sent.graph.components.transforms.values() if each.spec.urn == "beam:transform:read:v1"]
    shown = [beam_runner_api_pb2.LabelledPayload.FromString(each.payload) for each in read.display_data]
    found = {each.key: each.string_value or each.bool_value for each in shown}
    assert (found["query"], found["method"], found["use_legacy_sql"]) == (QUERY, "EXPORT", False)


def test_a_query_compiles_to_a_step_of_vertex() -> None:
    schema = text_format.Parse(SCHEMA, schema_pb2.Schema())
    spec = compile_pipeline(CheckedInputs(by_query(), schema))["pipelineSpec"]
    task = spec["root"]["dag"]["tasks"]["ExampleGen"]
    assert QUERY in task["inputs"]["parameters"]["input_config"]["runtimeValue"]["constant"]
    container = spec["deploymentSpec"]["executors"]["ExampleGen_executor"]["container"]
    assert "custom_components.bigquery_example_gen.executor.Executor" in container["args"]
    assert "lifecycle" not in container  # no driver that looks for files


@pytest.mark.parametrize("place", [{"orchestrator": "local"}, {"dataflow": None}])
def test_query_without_dataflow_gets_a_billed_project_and_a_bucket(place: dict[str, Any]) -> None:
    settings = dataclasses.replace(by_query(), **place)
    arguments = {node: PipelineOptions(own_beam_args(settings, node)).get_all_options() for node in BEAM_NODES}
    assert [name for name, found in arguments.items() if found["project"]] == ["ExampleGen"]
    assert arguments["ExampleGen"]["project"] == "our-project"
    assert arguments["ExampleGen"]["temp_location"] == "gs://ours/taxi/beam/temp"


@pytest.mark.parametrize("missing", ["project", "bucket"])
def test_a_query_on_this_machine_needs_a_project_and_a_bucket(missing: str) -> None:
    given = {"project": "our-project", "bucket": "gs://ours"}
    del given[missing]
    settings = {"data.path": "''", "data.bigquery": f"{{query: '{QUERY}'}}", "vertex": yaml.safe_dump(given)}
    with pytest.raises(ConfigError, match=rf"vertex.{missing}: missing; data.bigquery needs"):
        load_config(ROOT / "configs/taxi.yaml", settings)


def test_query_and_folder_are_exclusive() -> None:
    check_table(by_query(), schema_pb2.Schema())


def test_vertex_entry_point_passes_all_but_the_batching_flag_to_beam() -> None:
    """With time-based batches, the metrics would differ from those of a local run."""
    arguments = wired()["Evaluator"].executor_spec.beam_pipeline_args
    with flagsaver.flagsaver(tfxio_use_byte_size_batching=False):
        _, left = kubeflow_v2_run_executor._parse_flags(
            ["step", "--executor_class_path", "a.b", "--json_serialized_invocation_args", "{}", *arguments]
        )
        assert [each for each in arguments if each not in left] == [BATCH_BY_SIZE]
        chosen = GetBatchElementsKwargs(batch_size=None)
    assert chosen["min_batch_size"] == chosen["max_batch_size"]


def test_dataflow_settings_default_to_those_of_vertex() -> None:
    found = options(vertex__network=NETWORK)
    assert found["sdk_container_image"] == STEPS_IMAGE
    assert found["network"] == "ours"
    assert found["temp_location"] == "gs://ours/taxi/beam/temp"
    assert found["staging_location"] == "gs://ours/taxi/beam/staging"
    unset = ("subnetwork", "disk_size_gb", "flexrs_goal", "dataflow_kms_key", "service_account_email", "use_public_ips")
    assert [found[name] for name in unset] == [None] * len(unset)


def test_subnetwork_takes_precedence_over_the_network() -> None:
    found = options(vertex__network=NETWORK, dataflow__subnetwork="regions/europe-west4/subnetworks/ours")
    assert (found["network"], found["subnetwork"]) == (None, "regions/europe-west4/subnetworks/ours")


def test_temporary_folder_can_be_set() -> None:
    assert options(dataflow__temp="gs://scratch/beam")["temp_location"] == "gs://scratch/beam/temp"


def test_other_beam_options_are_passed() -> None:
    found = options(dataflow__options={"num_workers": 3, "profile_cpu": True, "profile_memory": False})
    assert (found["num_workers"], found["profile_cpu"], found["profile_memory"]) == (3, True, False)


def test_flag_that_is_on_by_default_can_be_turned_off() -> None:
    assert options()["pipeline_type_check"] is True
    assert options(dataflow__options={"pipeline_type_check": True})["pipeline_type_check"] is True
    assert options(dataflow__options={"pipeline_type_check": False})["pipeline_type_check"] is False


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_option_that_has_a_setting_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"dataflow.options.{name}: found 'False'; set .* instead$"):
        options(dataflow__options={name: False})


def test_unknown_beam_option_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"num_worker: unknown Beam option .* did you mean 'num_workers'"):
        options(dataflow__options={"num_worker": 3})


@pytest.mark.parametrize("overrides", [{"dataflow": None}, {}])
def test_beam_steps_run_locally_without_a_dataflow_block(overrides: dict[str, Any]) -> None:
    runner = options(**overrides)["runner"]
    assert ("FnApiRunner" in runner) == bool(overrides)
