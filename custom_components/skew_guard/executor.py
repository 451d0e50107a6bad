"""Executor of SkewGuard."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
from absl import logging
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from cloud.paths import on_disk
from custom_components.shared.examples import NO_ROWS, records, split_files
from custom_components.skew_guard.graph import Functions, check_graph, check_vocabularies
from custom_components.skew_guard.replay import Replay, raw_columns
from custom_components.skew_guard.report import REPORT_FILE, Report, SkewError
from custom_components.skew_guard.server import check_server
from custom_components.skew_guard.warmup import BATCH, write_warmup
from models.features import Problem

BLESSED, HAS_MODEL, MODEL_ID, REASON = "blessed", "has_model", "current_model_id", "reason"


class Executor(base_executor.BaseExecutor):
    """Holds the serving side of a model against its training side."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the report, and blesses the model if nothing differs; a model that differs is no error."""
        model = artifact_utils.get_single_instance(input_dict["model"])
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        stamped = Path(on_disk(path_utils.stamped_model_path(blessing.uri)))
        io_utils.copy_dir(path_utils.serving_model_path(model.uri), str(stamped))
        report = _guard(input_dict, exec_properties, stamped)
        logging.info("Skew guard: %s", report)
        folder = Path(on_disk(artifact_utils.get_single_uri(output_dict["report"])))
        folder.mkdir(parents=True, exist_ok=True)  # in a bucket there are no empty folders
        (folder / REPORT_FILE).write_text(json.dumps(report.to_dict(), indent=2))
        blessing.set_int_custom_property(BLESSED, int(report.skew is None))
        blessing.set_int_custom_property(HAS_MODEL, 1)
        blessing.set_int_custom_property(MODEL_ID, model.id)
        blessing.set_string_custom_property(REASON, str(report.skew or ""))


def _guard(input_dict: dict[str, list[types.Artifact]], settings: dict[str, Any], model_dir: Path) -> Report:
    """Loads the model within limits before this process loads it, so that one that is broken cannot end the run."""
    transform_output = tft.TFTransformOutput(artifact_utils.get_single_uri(input_dict["transform_graph"]))
    transform_dir = Path(on_disk(transform_output.transform_savedmodel_dir))
    problem = Problem.from_config(json.loads(settings["problem"]))
    split = settings["split"]
    raw, transformed = (split_files(input_dict[key], split) for key in ("examples", "transformed_examples"))
    report = Report()
    replay: Replay | None = None
    try:
        vocabularies = check_vocabularies(transform_dir, model_dir)
        examples = _without(problem, _first(raw))
        columns = raw_columns(examples, transform_output.raw_feature_spec(), problem)
        write_warmup(model_dir, settings["model_name"], examples, columns, Functions(model_dir).signatures)
        server = check_server(model_dir, settings["max_seconds"], settings["max_megabytes"])
        report = Report(vocabularies=vocabularies, server=server)
        replay = Replay(transform_output, model_dir, problem)
        try:
            report = dataclasses.replace(report, graph=check_graph(transform_dir, model_dir))
        except SkewError as error:
            raise _first_difference(replay, error, raw, transformed, settings["max_examples"]) from error
        replay.run(raw, transformed, settings["max_examples"])
    except SkewError as error:
        report = dataclasses.replace(report, skew=error.skew)
    return replay.report(report) if replay else report


def _first_difference(
    replay: Replay, graph: SkewError, raw: list[str], transformed: list[str], max_examples: int
) -> SkewError:
    """The first row in which another graph shows, or else the graph's own error."""
    try:
        replay.run(raw, transformed, max_examples)
    except SkewError as error:
        return SkewError(dataclasses.replace(error.skew, check="graph"))
    return graph


def _first(files: list[str]) -> list[bytes]:
    first = list(records(files).take(BATCH).as_numpy_iterator())
    if not first:
        raise ValueError(NO_ROWS)
    return first


def _without(problem: Problem, examples: list[bytes]) -> list[bytes]:
    """Examples with the features alone: a client does not know the label."""
    stripped = []
    for serialized in examples:
        example = tf.train.Example.FromString(serialized)
        for name in set(example.features.feature) - set(problem.features.columns):
            del example.features.feature[name]
        stripped.append(example.SerializeToString(deterministic=True))
    return stripped
