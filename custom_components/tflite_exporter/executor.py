"""Executor of TfliteExporter."""

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
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

from cloud.paths import on_disk
from custom_components.shared.examples import records, split_files
from custom_components.tflite_exporter.artifact import BLESSED, MODEL_FILE, REASON, REPORT_FILE
from custom_components.tflite_exporter.convert import Row, convert
from custom_components.tflite_exporter.flatbuffer import operators, with_metadata
from custom_components.tflite_exporter.gate import Bound, Measured, measure
from custom_components.tflite_exporter.graph import TransformRewriter
from models.features import Problem
from serving.edge import METADATA

REPRESENTATIVE_ROWS = 500
SHUFFLED_ROWS = 10_000


class Executor(base_executor.BaseExecutor):
    """Converts a blessed model, measures what came out, and blesses that."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the TFLite model and its report; a model beyond a bound is no error, and is not blessed.

        Raises:
            RewriteError: A feature or the network needs an operator that TFLite does not have.
        """
        exported = artifact_utils.get_single_instance(output_dict["tflite_model"])
        blessings = [
            artifact_utils.get_single_instance(input_dict[key]) for key in ("model_blessing", "infra_blessing")
        ]
        if not (model_utils.is_model_blessed(blessings[0]) and model_utils.is_infra_validated(blessings[1])):
            logging.info("The model is not blessed, so there is nothing to export.")
            exported.set_int_custom_property(BLESSED, 0)
            return
        problem = Problem.from_config(json.loads(exec_properties["problem"]))
        model_dir = path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["model"]))
        files = split_files(input_dict["examples"], exec_properties["split"])
        whole = _export(input_dict, {**exec_properties, "quantization": "none"}, problem, model_dir)
        most = exec_properties["max_examples"]
        exact = measured = measure(whole, model_dir, files, problem, most)
        content = whole
        if exec_properties["quantization"] != "none":
            content = _export(input_dict, exec_properties, problem, model_dir)
            measured = measure(content, model_dir, files, problem, most)
        report = _report(content, measured, exact, exec_properties)
        logging.info("TFLite: %s", report)
        folder = Path(on_disk(exported.uri))
        folder.mkdir(parents=True, exist_ok=True)  # in a bucket there are no empty folders
        (folder / MODEL_FILE).write_bytes(content)
        (folder / REPORT_FILE).write_text(json.dumps(report, indent=2, allow_nan=False))
        _record(exported, report)


def _export(
    input_dict: dict[str, list[types.Artifact]], settings: dict[str, Any], problem: Problem, model_dir: str
) -> bytes:
    """The TFLite model, with what it says of itself."""
    transform_output = tft.TFTransformOutput(artifact_utils.get_single_uri(input_dict["transform_graph"]))
    train = split_files(input_dict["transformed_examples"], settings["representative_split"])
    rewriter = TransformRewriter(transform_output, problem)
    content = convert(rewriter, model_dir, settings["quantization"], lambda: representative(train, transform_output))
    metadata = {
        "model": settings["model_name"],
        "quantization": settings["quantization"],
        "task": problem.task,
        "label": problem.label.name,
        "classes": list(problem.class_names),
        "features": rewriter.features,
    }
    return with_metadata(content, METADATA, metadata)


def representative(files: list[str], transform_output: tft.TFTransformOutput) -> Iterator[Row]:
    """Transformed rows of a split, drawn with a fixed seed: by feature, each [1, width]."""
    spec = transform_output.transformed_feature_spec()
    for record in records(files).shuffle(SHUFFLED_ROWS, seed=0).take(REPRESENTATIVE_ROWS):
        parsed = tf.io.parse_single_example(record, spec)
        yield {name: np.reshape(value.numpy(), [1, -1]) for name, value in parsed.items()}


def _report(content: bytes, measured: Measured, exact: Measured, settings: dict[str, Any]) -> dict[str, Any]:
    """What is written down, plain JSON: a figure that is not defined is ``None``.

    Args:
        content: The model.
        measured: How it does.
        exact: How it does unquantized: rounding weights is no licence to compute something else.
        settings: The node's.
    """
    bounds = [
        Bound(f"tflite_{measured.metric}_loss", settings["max_quality_loss"], measured.loss),
        Bound("tflite_max_abs_diff", settings["max_difference"], exact.max_abs_diff),
    ]
    used = operators(content)
    return {
        **{name: _finite(value) for name, value in dataclasses.asdict(measured).items()},
        "loss": _finite(measured.loss),
        "quantization": settings["quantization"],
        "bytes": len(content),
        "operators": used,
        "builtin_only": not any(name.startswith("Custom") for name in used),
        "bounds": [{**dataclasses.asdict(each), "value": _finite(each.value), "ok": each.ok} for each in bounds],
        "reason": "; ".join(str(each) for each in bounds if not each.ok),
    }


def _finite(value: Any) -> Any:
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _record(artifact: types.Artifact, report: dict[str, Any]) -> None:
    """Repeats the report's figures in ML Metadata, which has no place for one that is not defined."""
    artifact.set_int_custom_property(BLESSED, int(not report["reason"]))
    artifact.set_string_custom_property(REASON, report["reason"])
    for key in ("quantization", "metric"):
        artifact.set_string_custom_property(key, report[key])
    for key in ("bytes", "rows", "builtin_only"):
        artifact.set_int_custom_property(key, int(report[key]))
    for key in ("max_abs_diff", "saved_model", "tflite", "p50_ms", "p99_ms"):
        if report[key] is not None:
            artifact.set_float_custom_property(key, report[key])
