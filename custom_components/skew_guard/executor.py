"""Executor of SkewGuard."""

import dataclasses
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from artifacts.names import BLESSED, HAS_MODEL, MODEL_ID, REASON
from artifacts.nodes.skew import Skew, SkewReport
from common.bucket_paths import mounted_path
from custom_components.shared.examples import NO_ROWS, records, split_files
from custom_components.shared.model_check import output_folder, problem_of, transform_output_of, write_report
from custom_components.skew_guard.replay import Replay, raw_columns
from custom_components.skew_guard.report import SkewError
from custom_components.skew_guard.server_check import check_server
from custom_components.skew_guard.transform_graph import SavedModelFunctions, check_graph, check_vocabularies
from custom_components.skew_guard.warmup import BATCH, write_warmup
from models.problem.problem import Problem


class Executor(base_executor.BaseExecutor):
    """Checks the signatures of a model for skew between training and serving."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the report, and blesses the model if there is no skew. Skew is not an error of the node."""
        model = artifact_utils.get_single_instance(input_dict["model"])
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        stamped = Path(mounted_path(path_utils.stamped_model_path(blessing.uri)))
        io_utils.copy_dir(path_utils.serving_model_path(model.uri), str(stamped))
        report = check_model(input_dict, exec_properties, stamped)
        logging.info("SkewGuard: %s", report)
        folder = output_folder(artifact_utils.get_single_instance(output_dict["report"]))
        write_report(folder, report.to_json())
        blessing.set_int_custom_property(BLESSED, int(report.skew is None))
        blessing.set_int_custom_property(HAS_MODEL, 1)
        blessing.set_int_custom_property(MODEL_ID, model.id)
        blessing.set_string_custom_property(REASON, str(report.skew or ""))


def check_model(
    input_dict: dict[str, list[types.Artifact]], exec_properties: dict[str, Any], model_dir: Path
) -> SkewReport:
    """Runs all checks.

    The model is first loaded in a separate process within limits, so that a broken model cannot end the run.

    Args:
        input_dict: Inputs of the node.
        exec_properties: Properties of the node.
        model_dir: Copy of the SavedModel. Warm-up requests are written into it.
    """
    transform_output = transform_output_of(input_dict)
    transform_dir = Path(mounted_path(transform_output.transform_savedmodel_dir))
    problem = problem_of(exec_properties)
    split, max_examples = exec_properties["split"], exec_properties["max_examples"]
    raw, transformed = (split_files(input_dict[key], split) for key in ("examples", "transformed_examples"))
    report = SkewReport()
    replay: Replay | None = None
    try:
        vocabularies = check_vocabularies(transform_dir, model_dir)
        examples = _without_label(problem, _first_batch(raw))
        columns = raw_columns(examples, transform_output.raw_feature_spec(), problem)
        signatures = SavedModelFunctions(model_dir).signatures
        write_warmup(model_dir, exec_properties["model_name"], examples, columns, signatures)
        server = check_server(model_dir, exec_properties["max_seconds"], exec_properties["max_megabytes"])
        report = SkewReport(vocabularies=vocabularies, server=server)
        replay = Replay(transform_output, model_dir, problem)
        try:
            report = dataclasses.replace(report, graph=check_graph(transform_dir, model_dir))
        except SkewError as error:
            raise _first_difference(replay, error, raw, transformed, max_examples) from error
        replay.run(raw, transformed, max_examples)
    except SkewError as error:
        report = dataclasses.replace(report, skew=with_own_names(error.skew, problem))
    return replay.report(report) if replay else report


def with_own_names(skew: Skew, problem: Problem) -> Skew:
    """Replaces names of TensorFlow's graphs with those that people see."""
    names = problem.transformed_names
    feature = skew.feature and names.get(skew.feature, skew.feature)
    return dataclasses.replace(skew, where=names.get(skew.where, skew.where), feature=feature)


def _first_difference(
    replay: Replay, graph_error: SkewError, raw: list[str], transformed: list[str], max_examples: int
) -> SkewError:
    """The first row that the other graph transforms differently, or ``graph_error`` if there is none."""
    try:
        replay.run(raw, transformed, max_examples)
    except SkewError as error:
        return SkewError(dataclasses.replace(error.skew, check="graph"))
    return graph_error


def _first_batch(files: list[str]) -> list[bytes]:
    first = list(records(files).take(BATCH).as_numpy_iterator())
    if not first:
        raise ValueError(NO_ROWS)
    return first


def _without_label(problem: Problem, examples: list[bytes]) -> list[bytes]:
    """Removes all columns that are not features: a client does not know the label."""
    stripped = []
    for serialized in examples:
        example = tf.train.Example.FromString(serialized)
        for name in set(example.features.feature) - set(problem.features.columns):
            del example.features.feature[name]
        stripped.append(example.SerializeToString(deterministic=True))
    return stripped
