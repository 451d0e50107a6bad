"""Executor of BatchedTransform."""

import json
import os
from collections.abc import Mapping
from typing import Any

import apache_beam as beam
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata.dataset_metadata import DatasetMetadata
from tfx.components.transform import executor_utils, labels
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
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

from artifacts.nodes.label_counts import label_counts_file
from common.source_code import import_function
from custom_components.batched_transform.label_counts import CountLabels
from custom_components.batched_transform.loaded_graphs import graphs_loaded_once
from custom_components.batched_transform.table_names import remove_folders
from custom_components.batched_transform.used_columns import used_columns
from custom_components.shared.examples import split_files
from custom_components.shared.record_batches import ExamplesByBatch, WriteExamples
from models.problem.problem import Problem

PREFIX = "transformed_examples"
TEMPORARY = ".temp_path"


class Executor(BaseBeamExecutor):
    """Analyzes some splits of the raw rows, and writes the Transform graph and the transformed splits."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the Transform graph, and the transformed splits as gzipped TFRecords.

        Args:
            input_dict: One or more raw ``examples``, and their ``schema``.
            output_dict: ``transform_graph``, and ``transformed_examples``, one artifact per artifact of examples.
            exec_properties: ``preprocessing_fn``, ``custom_config`` and ``splits_config``, as in TFX's Transform.

        Raises:
            ValueError: A split has no file, or ``preprocessing_fn`` does not exist.
            RuntimeError: A Beam worker failed, for example with ``tf.errors.DataLossError`` for a damaged file.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        executor_utils.MatchNumberOfTransformedExamplesArtifacts(input_dict, output_dict)
        examples, transformed = input_dict[EXAMPLES_KEY], output_dict[TRANSFORMED_EXAMPLES_KEY]
        splits = executor_utils.ResolveSplitsConfig(exec_properties[SPLITS_CONFIG_KEY], examples)
        executor_utils.SetSplitNames(splits.transform, transformed)
        graph = artifact_utils.get_single_uri(output_dict[TRANSFORM_GRAPH_KEY])
        temporary = os.path.join(graph, TEMPORARY)
        schema = _read_schema(input_dict[SCHEMA_KEY])
        preprocessing_fn, label = _preprocessing_fn(exec_properties), _class_label(exec_properties)
        raw = ExamplesByBatch([path for split in splits.analyze for path in split_files(examples, split)], schema)
        # Only the columns that are used: rows need not conform to the schema in others.
        analyzed, columns = used_columns(preprocessing_fn, raw.TensorAdapter().OriginalTypeSpecs())
        to_analyze = raw.Project(analyzed)
        context = tft_beam.Context(temporary, use_deep_copy_optimization=True)
        with graphs_loaded_once(), self._make_beam_pipeline() as pipeline, context:
            batches = pipeline | "ReadToAnalyze" >> to_analyze.BeamSource()
            analyze = tft_beam.AnalyzeDataset(preprocessing_fn)
            transform_fn = (batches, to_analyze.TensorAdapterConfig()) | "Analyze" >> analyze
            raw_metadata = os.path.join(graph, tft.TFTransformOutput.RAW_METADATA_DIR)
            _ = DatasetMetadata(schema) | "WriteMetadata" >> tft_beam.WriteMetadata(raw_metadata, pipeline)
            _ = transform_fn | "WriteTransformFn" >> tft_beam.WriteTransformFn(graph)
            for split in splits.transform:
                for number, (source, target) in enumerate(zip(examples, transformed, strict=True)):
                    rows = ExamplesByBatch(split_files([source], split), schema).Project(columns)
                    folder = artifact_utils.get_split_uri([target], split)
                    count = CountLabels(label, os.path.join(target.uri, label_counts_file(split))) if label else None
                    transformed_split = _TransformSplit(rows, transform_fn, folder, count)
                    _ = pipeline | f"Transform[{split}][{number}]" >> transformed_split
        fileio.rmtree(temporary)
        remove_folders(os.path.join(graph, tft.TFTransformOutput.TRANSFORM_FN_DIR))


class _TransformSplit(beam.PTransform):
    """Transforms the rows of a split and writes them, and the numbers of rows by class if the label has classes."""

    def __init__(self, rows: ExamplesByBatch, transform_fn: Any, folder: str, count: CountLabels | None) -> None:
        super().__init__()
        self._rows, self._transform_fn, self._folder, self._count = rows, transform_fn, folder, count

    def expand(self, pipeline: beam.pvalue.PBegin) -> beam.PCollection:
        if fileio.exists(self._folder):  # left over from an earlier attempt at the same artifact
            fileio.rmtree(self._folder)
        raw = (pipeline | "Read" >> self._rows.BeamSource(), self._rows.TensorAdapterConfig())
        transform = tft_beam.TransformDataset(output_record_batches=True)
        features, metadata = (raw, self._transform_fn) | "Transform" >> transform
        write = WriteExamples(os.path.join(self._folder, PREFIX), metadata.schema)
        batches = features | "WithoutPassthrough" >> beam.Keys()
        if self._count:
            _ = batches | "CountLabels" >> self._count
        return batches | "Write" >> write


def _preprocessing_fn(exec_properties: Mapping[str, Any]) -> Any:
    function = import_function(exec_properties[PREPROCESSING_FN_KEY])
    return executor_utils.MaybeBindCustomConfig({labels.CUSTOM_CONFIG: exec_properties[CUSTOM_CONFIG_KEY]}, function)


def _class_label(exec_properties: Mapping[str, Any]) -> str | None:
    """Name of the transformed label, or ``None`` if it has no classes or is not known."""
    problem = json.loads(exec_properties[CUSTOM_CONFIG_KEY] or "{}").get("problem")
    found = Problem.from_config(problem) if problem else None
    return found.label_tensor if found and found.class_names else None


def _read_schema(artifacts: list[Artifact]) -> schema_pb2.Schema:
    path = io_utils.get_only_uri_in_dir(artifact_utils.get_single_uri(artifacts))
    return io_utils.SchemaReader().read(path)
