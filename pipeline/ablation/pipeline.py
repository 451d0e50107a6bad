"""The DAG of an ablation: the usual one up to Transform and the Tuner, then the node Ablation."""

import dataclasses

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.orchestration.pipeline import Pipeline

from custom_components.ablation.component import Ablation
from custom_components.ablation.settings import AblationSettings
from pipeline.beam.arguments import beam_args, own_beam_args
from pipeline.config.settings import Config
from pipeline.nodes import ABLATION
from pipeline.pipeline import ingest, metadata_connection, model_config, transform, tune, validate
from pipeline.preflight.table import UNREAD, CheckedTable


def ablation_pipeline(
    config: Config,
    settings: AblationSettings,
    schema_text: str,
    enable_cache: bool = True,
    table: CheckedTable = UNREAD,
) -> Pipeline:
    """Builds the DAG.

    The nodes before Ablation are those of :func:`pipeline.pipeline.create_pipeline`, so they are cached in either.

    Args:
        config: All settings.
        settings: What to leave out, and how to measure.
        schema_text: The curated schema as text proto.
        enable_cache: Whether to reuse the outputs of unchanged nodes.
        table: Rows and fingerprint of the table, if it was read.
    """
    schema = text_format.Parse(schema_text, schema_pb2.Schema())
    example_gen = ingest(config, schema, table.fingerprint)
    validated = validate(example_gen.outputs["examples"], schema_text)
    transform_node = transform(config, example_gen.outputs["examples"], validated)
    tuner = [tune(config, transform_node)] if config.tuning.enabled else []
    # A warm start would give the network what an earlier one learned from the column that is left out.
    cold = dataclasses.replace(config, training=dataclasses.replace(config.training, warm_start=False))
    ablation = Ablation(
        inputs={
            "transformed_examples": transform_node.outputs["transformed_examples"],
            "transform_graph": transform_node.outputs["transform_graph"],
            **({"hyperparameters": tuner[0].outputs["best_hyperparameters"]} if tuner else {}),
        },
        model_config=model_config(cold, tuning=False),
        settings=settings,
    ).with_id(ABLATION)
    for node in (example_gen, validated.statistics, transform_node):
        node.with_beam_pipeline_args(own_beam_args(config, node.id, table.rows))
    return Pipeline(
        pipeline_name=config.pipeline_name,
        pipeline_root=config.artifacts_dir,
        components=[example_gen, *validated.nodes, transform_node, *tuner, ablation],
        metadata_connection_config=metadata_connection(config),
        enable_cache=enable_cache,
        beam_pipeline_args=beam_args(config),
    )
