"""Executor of BatchedTransform."""

import os
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata.dataset_metadata import DatasetMetadata
from tfx.components.transform import executor, executor_utils, labels
from tfx.dsl.io import fileio
from tfx.types import Artifact, artifact_utils
from tfx.types.standard_component_specs import (
    CUSTOM_CONFIG_KEY,
    EXAMPLES_KEY,
    PREPROCESSING_FN_KEY,
    SCHEMA_KEY,
    SPLITS_CONFIG_KEY,
    TRANSFORM_GRAPH_KEY,
    TRANSFORMED_EXAMPLES_KEY,
)
from tfx.utils import io_utils

from custom_components.examples import split_files
from custom_components.record_batches import ExamplesByBatch, WriteExamples

PREFIX = "transformed_examples"
TEMPORARY = ".temp_path"


class Executor(executor.Executor):
    """Analyses some splits of the raw rows, and writes the graph that comes of it and what it makes of all splits.

    TFX's own executor passes each row by itself through Beam, and keeps a cache of analyses that no node here reads.
    """

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the Transform graph, and the transformed splits as gzipped TFRecords."""
        self._log_startup(input_dict, output_dict, exec_properties)
        executor_utils.MatchNumberOfTransformedExamplesArtifacts(input_dict, output_dict)
        examples, transformed = input_dict[EXAMPLES_KEY], output_dict[TRANSFORMED_EXAMPLES_KEY]
        splits = executor_utils.ResolveSplitsConfig(exec_properties[SPLITS_CONFIG_KEY], examples)
        executor_utils.SetSplitNames(splits.transform, transformed)
        graph = artifact_utils.get_single_uri(output_dict[TRANSFORM_GRAPH_KEY])
        temporary = os.path.join(graph, TEMPORARY)
        schema = _read_schema(input_dict[SCHEMA_KEY])
        function = self._GetPreprocessingFn(
            {
                labels.PREPROCESSING_FN: exec_properties[PREPROCESSING_FN_KEY],
                labels.CUSTOM_CONFIG: exec_properties[CUSTOM_CONFIG_KEY],
            },
            {},
        )
        raw = ExamplesByBatch([path for split in splits.analyze for path in split_files(examples, split)], schema)
        columns = _columns(function, raw)
        with self._make_beam_pipeline() as pipeline, tft_beam.Context(temporary, use_deep_copy_optimization=True):
            analyzed = raw.Project(columns)
            rows = pipeline | "ReadToAnalyze" >> analyzed.BeamSource()
            transform_fn = (rows, analyzed.TensorAdapterConfig()) | "Analyze" >> tft_beam.AnalyzeDataset(function)
            metadata = os.path.join(graph, tft.TFTransformOutput.RAW_METADATA_DIR)
            _ = DatasetMetadata(schema) | "WriteMetadata" >> tft_beam.WriteMetadata(metadata, pipeline)
            _ = transform_fn | "WriteTransformFn" >> tft_beam.WriteTransformFn(graph)
            for split in splits.transform:
                for number, (source, target) in enumerate(zip(examples, transformed, strict=True)):
                    name = f"[{split}][{number}]"
                    split_rows = ExamplesByBatch(split_files([source], split), schema).Project(columns)
                    features, described = (
                        (pipeline | f"Read{name}" >> split_rows.BeamSource(), split_rows.TensorAdapterConfig()),
                        transform_fn,
                    ) | f"Transform{name}" >> tft_beam.TransformDataset(output_record_batches=True)
                    prefix = os.path.join(artifact_utils.get_split_uri([target], split), PREFIX)
                    batches = features | f"WithoutPassthrough{name}" >> beam.Keys()
                    _ = batches | f"Write{name}" >> WriteExamples(prefix, described.schema)
        fileio.rmtree(temporary)


def _read_schema(artifacts: list[Artifact]) -> schema_pb2.Schema:
    path = io_utils.get_only_uri_in_dir(artifact_utils.get_single_uri(artifacts))
    return io_utils.SchemaReader().read(path)


def _columns(function: Callable[..., Any], raw: ExamplesByBatch) -> list[str]:
    """The columns that the function uses: a schema may have more, and rows may lack what they say of those."""
    specs = raw.TensorAdapter().OriginalTypeSpecs()
    found = tft.get_analyze_input_columns(function, specs) + tft.get_transform_input_columns(function, specs)
    return sorted(set(found))
