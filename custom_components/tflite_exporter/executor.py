"""Executor of TfliteExporter."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from absl import logging
from tfx import types
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from artifacts.names import BLESSED, REASON, TFLITE_FILE
from artifacts.nodes.tflite import TfliteReport, upper_bound
from custom_components.shared.examples import records, split_files
from custom_components.shared.model_check import output_folder, problem_of, transform_output_of, write_report
from custom_components.shared.tflite_file import operator_names, with_metadata
from custom_components.tflite_exporter.comparison import Comparison, compare
from custom_components.tflite_exporter.convert import Row, convert
from custom_components.tflite_exporter.transform_rewriter import TransformRewriter
from models.label_scaling import LabelScaling
from models.problem.problem import Problem
from serving.edge import METADATA

REPRESENTATIVE_ROWS = 500
SHUFFLE_BUFFER = 10_000


class Executor(base_executor.BaseExecutor):
    """Converts a blessed model, compares the result with the SavedModel, and blesses it if it meets the bounds."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the TFLite model and its report. A model that exceeds a bound is not blessed, but is not an error.

        Raises:
            RewriteError: A feature or the network needs an operator that TFLite does not have.
        """
        exported = artifact_utils.get_single_instance(output_dict["tflite_model"])
        if not _is_blessed(input_dict):
            logging.info("The model is not blessed, so there is nothing to export.")
            exported.set_int_custom_property(BLESSED, 0)
            return
        problem = problem_of(exec_properties)
        model_dir = path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["model"]))
        files = split_files(input_dict["examples"], exec_properties["split"])
        max_examples = exec_properties["max_examples"]
        content = export(input_dict, {**exec_properties, "quantization": "none"}, problem, model_dir)
        scaling = LabelScaling.of(transform_output_of(input_dict), problem)
        unquantized = comparison = compare(content, model_dir, files, problem, max_examples, scaling)
        if exec_properties["quantization"] != "none":
            content = export(input_dict, exec_properties, problem, model_dir)
            comparison = compare(content, model_dir, files, problem, max_examples, scaling)
        report = _report(content, comparison, unquantized, exec_properties)
        logging.info("TFLite: %s", report)
        folder = output_folder(exported)
        (folder / TFLITE_FILE).write_bytes(content)
        write_report(folder, report.to_json())
        _set_properties(exported, report)


def _is_blessed(input_dict: dict[str, list[types.Artifact]]) -> bool:
    model, infra = (artifact_utils.get_single_instance(input_dict[key]) for key in ("model_blessing", "infra_blessing"))
    return bool(model_utils.is_model_blessed(model) and model_utils.is_infra_validated(infra))


def export(
    input_dict: dict[str, list[types.Artifact]], exec_properties: dict[str, Any], problem: Problem, model_dir: str
) -> bytes:
    """Converts the model and adds its metadata: name, task, label, classes, features and quantization."""
    transform_output = transform_output_of(input_dict)
    train = split_files(input_dict["transformed_examples"], exec_properties["representative_split"])
    rewriter = TransformRewriter(transform_output, problem)
    quantization = exec_properties["quantization"]
    content = convert(rewriter, model_dir, quantization, lambda: representative_rows(train, transform_output))
    metadata = {
        "model": exec_properties["model_name"],
        "quantization": quantization,
        "task": problem.task,
        "label": problem.label.name,
        "classes": list(problem.class_names),
        "features": rewriter.features,
    }
    return with_metadata(content, METADATA, metadata)


def representative_rows(files: list[str], transform_output: tft.TFTransformOutput) -> Iterator[Row]:
    """Yields transformed rows of a split, sampled with a fixed seed: a dict of features, each [1, width]."""
    spec = transform_output.transformed_feature_spec()
    for record in records(files).shuffle(SHUFFLE_BUFFER, seed=0).take(REPRESENTATIVE_ROWS):
        parsed = tf.io.parse_single_example(record, spec)
        yield {name: np.reshape(value.numpy(), [1, -1]) for name, value in parsed.items()}


def _report(
    content: bytes, comparison: Comparison, unquantized: Comparison, exec_properties: dict[str, Any]
) -> TfliteReport:
    """Checks the bounds.

    Args:
        content: The TFLite model.
        comparison: Comparison of the TFLite model with the SavedModel.
        unquantized: The same before quantization, for the bound on differences: quantization must not hide that the
            model computes something else.
        exec_properties: Properties of the node.
    """
    bounds = (
        upper_bound(f"tflite_{comparison.metric}_loss", exec_properties["max_quality_loss"]).check(comparison.loss),
        upper_bound("tflite_max_abs_diff", exec_properties["max_difference"]).check(unquantized.max_abs_diff),
    )
    operators = operator_names(content)
    return TfliteReport(
        **dataclasses.asdict(comparison),
        loss=comparison.loss,
        quantization=exec_properties["quantization"],
        bytes=len(content),
        operators=operators,
        builtin_only=not any(name.startswith("Custom") for name in operators),
        bounds=bounds,
        reason="; ".join(str(each) for each in bounds if not each.ok),
    )


def _set_properties(artifact: types.Artifact, report: TfliteReport) -> None:
    """Copies the report's values to ML Metadata. An undefined value, which ML Metadata cannot store, is left out."""
    artifact.set_int_custom_property(BLESSED, int(not report.reason))
    artifact.set_string_custom_property(REASON, report.reason)
    for key in ("quantization", "metric"):
        artifact.set_string_custom_property(key, getattr(report, key))
    for key in ("bytes", "rows", "builtin_only"):
        artifact.set_int_custom_property(key, int(getattr(report, key)))
    for key in ("max_abs_diff", "saved_model", "tflite", "p50_ms", "p99_ms"):
        value = getattr(report, key)
        if value is not None and math.isfinite(value):
            artifact.set_float_custom_property(key, value)
