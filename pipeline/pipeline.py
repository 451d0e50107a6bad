"""The DAG, with one builder per stage."""

import dataclasses
import json
from typing import NamedTuple

from google.protobuf import text_format
from ml_metadata.proto import metadata_store_pb2
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.components import ExampleValidator, SchemaGen, Trainer, Tuner
from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.experimental.conditionals.conditional import Cond
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import pusher_pb2, trainer_pb2, transform_pb2
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing

from common.source_code import source_digest
from custom_components.anomaly_gate.component import AnomalyGate
from custom_components.arrow_example_gen.component import ArrowExampleGen, SchemaRules
from custom_components.baseline_resolver.strategy import LatestOtherBlessedModelStrategy
from custom_components.batched_evaluator.component import BatchedEvaluator
from custom_components.batched_statistics_gen.component import BatchedStatisticsGen
from custom_components.batched_transform.component import BatchedTransform
from custom_components.bigquery_example_gen.component import SeededBigQueryExampleGen
from custom_components.curated_schema.component import CuratedSchema
from custom_components.pusher.component import AtomicPusher
from custom_components.skew_guard.component import SkewGuard
from custom_components.tflite_exporter.component import TfliteExporter
from custom_components.vertex_endpoint.component import VertexEndpoint
from lineage.store.connection import connection_config
from models.training_settings import ModelConfig
from pipeline.beam.arguments import beam_args, own_beam_args
from pipeline.candidate import Candidate
from pipeline.config.settings import EVAL, SPLITS, TRAIN, VALIDATION, Config
from pipeline.eval_config import eval_config
from pipeline.nodes import TRAINER, TUNER
from pipeline.preflight.labels import label_rows
from pipeline.preflight.schema import column_types
from pipeline.preflight.splits import split_by
from pipeline.preflight.table import UNREAD, CheckedTable
from pipeline.vertex_jobs import job_settings, with_job_executor
from pipeline.vertex_serving import serving_settings

# Modules outside of models that write the Trainer's records.
RECORD_MODULES = ("artifacts.names", "artifacts.files", "artifacts.nodes.training")


class Validated(NamedTuple):
    """Outputs of the validation stage."""

    statistics: BatchedStatisticsGen
    schema: types.BaseChannel
    gate: AnomalyGate
    nodes: list[BaseNode]


def create_pipeline(
    config: Config, schema_text: str, enable_cache: bool = True, table: CheckedTable = UNREAD
) -> Pipeline:
    """Builds the complete DAG.

    Args:
        config: All settings.
        schema_text: The curated schema as text proto.
        enable_cache: Whether to reuse the outputs of unchanged nodes.
        table: Rows and fingerprint of the table, if it was read. Transform uses several processes for large tables.
    """
    schema = text_format.Parse(schema_text, schema_pb2.Schema())
    example_gen = ingest(config, schema, table.fingerprint)
    examples = example_gen.outputs["examples"]
    validated = validate(examples, schema_text)
    transform_node = transform(config, examples, validated)
    tuner = [tune(config, transform_node)] if config.tuning.enabled else []
    warm_start = [resolve_warm_start(config)] if config.training.warm_start else []
    trainer = train(config, transform_node, tuner, warm_start)
    guard = guard_against_skew(config, examples, transform_node, trainer)
    resolver, evaluator = evaluate(config, examples, validated, trainer)
    candidate = Candidate(trainer, guard, evaluator)
    with Cond(candidate.is_blessed):
        exporter = [export_for_devices(config, examples, transform_node, candidate)] if config.tflite.enabled else []
        pusher = deploy(config, candidate, exporter)
        endpoint = [serve(config, pusher)] if config.orchestrator == "vertex" and config.vertex.endpoint else []
    for node in (example_gen, validated.statistics, transform_node, evaluator):
        node.with_beam_pipeline_args(own_beam_args(config, node.id, table.rows))
    return Pipeline(
        pipeline_name=config.pipeline_name,
        pipeline_root=config.artifacts_dir,
        components=[
            *(example_gen, *validated.nodes, transform_node, *tuner, *warm_start, trainer),
            *(guard, resolver, evaluator, *exporter, pusher, *endpoint),
        ],
        metadata_connection_config=metadata_connection(config),
        enable_cache=enable_cache,
        beam_pipeline_args=beam_args(config),
    )


def ingest(config: Config, schema: schema_pb2.Schema, fingerprint: str | None = None) -> BaseBeamComponent:
    """Reads the table into tf.Examples, in three splits. Columns of files get the types of the schema."""
    data = config.data
    splits = {name: getattr(data.splits, name) for name in SPLITS}
    labels = label_rows(config, schema)
    if data.bigquery:
        query = data.bigquery.query
        return SeededBigQueryExampleGen(query, splits, data.split_seed, data.split_key, labels).with_id("ExampleGen")
    by, rules = split_by(config, schema), SchemaRules(column_types(schema), labels)
    node = ArrowExampleGen(data.source, splits, data.split_seed, by, rules, fingerprint)
    return node.with_id("ExampleGen")


def validate(examples: types.BaseChannel, schema_text: str) -> Validated:
    """Computes statistics and an inferred schema, and stops the run if the data does not match the curated schema."""
    statistics = BatchedStatisticsGen(examples).with_id("StatisticsGen")
    inferred = SchemaGen(statistics=statistics.outputs["statistics"], infer_feature_shape=False)
    curated = CuratedSchema(text=schema_text)
    schema = curated.outputs["schema"]
    validator = ExampleValidator(statistics=statistics.outputs["statistics"], schema=schema)
    gate = AnomalyGate(anomalies=validator.outputs["anomalies"], schema=schema)
    return Validated(statistics, schema, gate, [statistics, inferred, curated, validator, gate])


def transform(config: Config, examples: types.BaseChannel, validated: Validated) -> BatchedTransform:
    """Builds the graph from raw values to features, with statistics of the training split only."""
    node = BatchedTransform(
        examples=examples,
        schema=validated.schema,
        preprocessing_fn="models.preprocessing.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(analyze=[TRAIN], transform=SPLITS),
        custom_config={"problem": config.problem.to_config()},
        code=["models.preprocessing", "models.problem", "models.transforms"],
    ).with_id("Transform")
    node.add_upstream_node(validated.gate)
    return node


def tune(config: Config, transform_node: BatchedTransform) -> Tuner:
    """Searches hyperparameters on the validation split."""
    vertex = job_settings(config, TUNER)
    node = Tuner(
        examples=transform_node.outputs["transformed_examples"],
        transform_graph=transform_node.outputs["transform_graph"],
        tuner_fn="models.tuning.tuner.tuner_fn",
        train_args=trainer_pb2.TrainArgs(splits=[TRAIN], num_steps=config.tuning.steps),
        eval_args=trainer_pb2.EvalArgs(splits=[VALIDATION]),
        custom_config={**model_config(config, tuning=True), **vertex},
    )
    return with_job_executor(node, vertex)


def resolve_warm_start(config: Config) -> Resolver:
    """Finds the blessed model whose weights training starts from, if there is one."""
    problem = config.problem.to_config()
    return _latest_blessed(
        config, "WarmStartModel", {"label": json.dumps([problem["task"], problem["label"], problem["weight"]])}
    )


def train(config: Config, transform_node: BatchedTransform, tuner: list[Tuner], warm_start: list[Resolver]) -> Trainer:
    """Trains the model, with the Tuner's hyperparameters and the weights of an earlier model if there are any."""
    vertex = job_settings(config, TRAINER)
    node = Trainer(
        examples=transform_node.outputs["transformed_examples"],
        transform_graph=transform_node.outputs["transform_graph"],
        hyperparameters=tuner[0].outputs["best_hyperparameters"] if tuner else None,
        base_model=warm_start[0].outputs["model"] if warm_start else None,
        run_fn="models.run_fn.run_fn",
        train_args=trainer_pb2.TrainArgs(splits=[TRAIN], num_steps=config.training.steps),
        eval_args=trainer_pb2.EvalArgs(splits=[VALIDATION]),
        custom_config={**model_config(config, tuning=False), **vertex},
    )
    return with_job_executor(node, vertex)


def guard_against_skew(
    config: Config, examples: types.BaseChannel, transform_node: BatchedTransform, trainer: Trainer
) -> SkewGuard:
    """Checks that the model predicts from raw rows as in training, and that a server can load it."""
    return SkewGuard(
        inputs={
            "examples": examples,
            "transformed_examples": transform_node.outputs["transformed_examples"],
            "transform_graph": transform_node.outputs["transform_graph"],
            "model": trainer.outputs["model"],
        },
        settings={
            **dataclasses.asdict(config.skew_guard),
            "problem": config.problem.to_config(),
            "model_name": config.name,
            "split": EVAL,
        },
    )


def evaluate(
    config: Config, examples: types.BaseChannel, validated: Validated, trainer: Trainer
) -> tuple[Resolver, BatchedEvaluator]:
    """Evaluates the serving signature on raw rows of the eval split, and blesses a model that meets the thresholds."""
    resolver = _latest_blessed(config, "LatestBlessedModel", candidate=trainer.outputs["model"])
    evaluator = BatchedEvaluator(
        examples=examples,
        model=trainer.outputs["model"],
        baseline_model=resolver.outputs["model"],
        schema=validated.schema,
        example_splits=[EVAL],
        eval_config=eval_config(config),
    ).with_id("Evaluator")
    return resolver, evaluator


def export_for_devices(
    config: Config, examples: types.BaseChannel, transform_node: BatchedTransform, candidate: Candidate
) -> TfliteExporter:
    """Exports the blessed model for LiteRT, and compares it with the SavedModel on the eval split."""
    settings = dataclasses.asdict(config.tflite)
    del settings["enabled"]
    return TfliteExporter(
        inputs={
            "examples": examples,
            "transformed_examples": transform_node.outputs["transformed_examples"],
            "transform_graph": transform_node.outputs["transform_graph"],
            **candidate.channels,
        },
        settings={
            **settings,
            "problem": config.problem.to_config(),
            "model_name": config.name,
            "split": EVAL,
            "representative_split": TRAIN,
        },
    )


def deploy(config: Config, candidate: Candidate, exporter: list[TfliteExporter]) -> AtomicPusher:
    """Pushes a blessed model to the folders of TensorFlow Serving and of devices."""
    folder = pusher_pb2.PushDestination.Filesystem(base_directory=config.serving_dir)
    for_devices = exporter[0].outputs if exporter else {}
    return AtomicPusher(
        inputs={**candidate.channels, **for_devices},
        push_destination=pusher_pb2.PushDestination(filesystem=folder),
        tflite_directory=config.tflite_dir if exporter else None,
    ).with_id("Pusher")


def serve(config: Config, pusher: AtomicPusher) -> VertexEndpoint:
    """Deploys the pushed model to a Vertex AI endpoint."""
    vertex = config.vertex
    assert vertex.project  # checked when the settings are loaded
    assert vertex.region
    return VertexEndpoint(pusher.outputs["pushed_model"], vertex.project, vertex.region, serving_settings(config))


def metadata_connection(config: Config) -> metadata_store_pb2.ConnectionConfig | None:
    """Returns the ML Metadata connection without its password, which the runner adds. Vertex AI has its own store."""
    return connection_config(config.store) if config.orchestrator == "local" else None


def _latest_blessed(
    config: Config, name: str, settings: dict[str, str] | None = None, **candidate: types.BaseChannel
) -> Resolver:
    """Finds the latest blessed model. Vertex AI does the lookup itself and only supports TFX's own strategy."""
    blessed = {"model": types.Channel(type=Model), "model_blessing": types.Channel(type=ModelBlessing)}
    if config.orchestrator == "vertex":
        return Resolver(strategy_class=LatestBlessedModelStrategy, **blessed).with_id(name)
    return Resolver(
        strategy_class=LatestOtherBlessedModelStrategy,
        config=settings,
        infra_blessing=types.Channel(type=InfraBlessing),
        **blessed,
        **candidate,
    ).with_id(name)


def model_config(config: Config, tuning: bool) -> dict[str, object]:
    """Returns the settings that training reads, with those of the search if ``tuning`` is true."""
    network_module = config.network.function.rpartition(".")[0]
    return ModelConfig(
        problem=config.problem,
        network=config.network,
        training=config.training,
        tuning=config.tuning if tuning else None,
        code=source_digest("models", *RECORD_MODULES, network_module),
    ).to_config()
