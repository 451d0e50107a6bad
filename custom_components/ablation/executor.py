"""Executor of Ablation."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_transform as tft
from absl import logging
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from artifacts.nodes.ablation import AblationReport, Kind
from common.progress import prefixed, report
from custom_components.ablation.associations import Associations, named_groups
from custom_components.ablation.estimates import Rows, Scores, difference
from custom_components.ablation.metrics import Metric, choose_metric
from custom_components.ablation.settings import AblationSettings
from custom_components.ablation.trainings import Split, Trainings, read_labels, release
from custom_components.ablation.verdicts import Measured, Scale, judge
from custom_components.batched_evaluator.trivial_model import LabeledRows, fit_trivial
from custom_components.batched_evaluator.trivial_settings import TrivialSettings
from custom_components.shared.examples import split_files
from custom_components.shared.model_check import output_folder, transform_output_of, write_report
from models.problem.features import Features
from models.problem.problem import Problem
from models.training_settings import ModelConfig, Scalar

TRAIN, VALIDATION = "train", "validation"


class Executor(base_executor.BaseExecutor):
    """Trains with all columns, without each column and each group, and with each of them alone."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the report. A leak is not an error of the node."""
        config = ModelConfig.from_config(json.loads(exec_properties["model_config"]))
        settings = AblationSettings.from_json(exec_properties["settings"])
        examples = input_dict["transformed_examples"]
        train, validation = (Split.of(split_files(examples, name), config.problem) for name in (TRAIN, VALIDATION))
        found = measure(config, settings, tuned(input_dict), (train, validation), transform_output_of(input_dict))
        logging.info("Ablation: %s", found)
        artifact = artifact_utils.get_single_instance(output_dict["report"])
        write_report(output_folder(artifact), found.to_json())
        artifact.set_string_custom_property("metric", found.metric)
        artifact.set_int_custom_property("repeats", found.repeats)
        for verdict in ("leak", "redundant", "noise"):
            names = [each.name for each in found.having(verdict) if each.kind == "column"]
            artifact.set_string_custom_property(verdict, json.dumps(names))


class Unit(NamedTuple):
    """What is left out together: a column or a group of columns."""

    name: str
    kind: Kind
    columns: tuple[str, ...]

    def features(self, features: Features) -> list[str]:
        """Names of the transformed features that are computed from any of the columns."""
        return [name for name, origin in features.origins.items() if set(origin) & set(self.columns)]

    def other_features(self, features: Features) -> list[str]:
        """Names of those that are computed from any other column."""
        return [name for name, origin in features.origins.items() if set(origin) - set(self.columns)]


class Training(NamedTuple):
    """One training.

    Attributes:
        label: What it is for, in its progress line.
        unit: The column or group that it is for, or ``None`` if it is one with all columns.
        is_alone: Whether the network reads only the unit, instead of all but the unit.
        seed: Seed of the initial weights and of the order of rows.
        without: Names of the transformed features that are left out.
    """

    label: str
    unit: Unit | None
    is_alone: bool
    seed: int
    without: list[str]


def tuned(input_dict: Mapping[str, list[types.Artifact]]) -> dict[str, Scalar]:
    """The hyperparameters that the Tuner found, or none."""
    artifacts = input_dict.get("hyperparameters")
    if not artifacts:
        return {}
    path = io_utils.get_only_uri_in_dir(artifact_utils.get_single_uri(artifacts))
    values: dict[str, Scalar] = json.loads(Path(path).read_text())["values"]
    return values


def measure(
    config: ModelConfig,
    settings: AblationSettings,
    hyperparameters: Mapping[str, Scalar],
    splits: tuple[Split, Split],
    transform_output: tft.TFTransformOutput,
) -> AblationReport:
    """Runs all trainings and says what each column and group is worth.

    Args:
        config: Problem, network and training.
        settings: What to leave out, and how to measure.
        hyperparameters: Replace those of the settings of the network.
        splits: The training and the validation rows.
        transform_output: The Transform graph that wrote them.

    Raises:
        DivergedError: A training diverged.
        ValueError: The metric cannot be computed on the validation rows.
    """
    problem = config.problem
    values = {**config.network.hyperparameters, **hyperparameters}
    train, validation = splits
    labels, weights = read_labels(train, transform_output, problem, settings.is_weighted)
    rows = Rows(*read_labels(validation, transform_output, problem, settings.is_weighted))
    metric = choose_metric(problem.task, list(settings.metrics))
    trivial = _trivial(problem, metric, labels, weights, rows)
    try:
        trainings = Trainings(config, values, splits, transform_output)
        associations = Associations(problem.features, trainings.shared.train)
        units = _units(settings, associations)
        scores = _run(_plan(problem.features, units, config.training.seed, settings.repeats), trainings, metric, rows)
    finally:
        release()
    everything = scores[None, False]
    gain = difference(metric, everything, [trivial] * len(everything))
    perfect = metric.sign * (metric.perfect - trivial.value)
    measured = [_measured(unit, scores, metric, trivial) for unit in units]
    margin = settings.margin * max(gain.value, 0.0)
    columns = problem.features.columns
    closest = {name: found for name in settings.columns if (found := associations.closest(name, columns))}
    return AblationReport(
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        value=_mean(everything),
        trivial=trivial.value,
        gain=gain,
        margin=margin,
        margin_fraction=settings.margin,
        repeats=settings.repeats,
        trainings=sum(map(len, scores.values())),
        rows={TRAIN: train.used_rows, VALIDATION: validation.used_rows},
        available_rows={TRAIN: train.rows, VALIDATION: validation.rows},
        hyperparameters=values,
        worths=judge(measured, Scale(gain, perfect, margin), closest),
    )


def _units(settings: AblationSettings, associations: Associations) -> list[Unit]:
    """The columns, the declared groups, and the correlated groups among the columns."""
    correlated = named_groups(settings.groups, associations.groups(settings.columns))
    return [
        *(Unit(name, "column", (name,)) for name in settings.columns),
        *(Unit(name, "declared", tuple(columns)) for name, columns in settings.groups.items()),
        *(Unit(name, "correlated", columns) for name, columns in correlated.items()),
    ]


def _plan(features: Features, units: Sequence[Unit], seed: int, repeats: int) -> list[Training]:
    """All trainings. What leaves no feature is not trained, and measured as the trivial model."""
    seeds = range(seed, seed + repeats)
    plan = [Training("all columns", None, False, each, []) for each in seeds]
    for unit in units:
        without = unit.features(features)
        if len(without) < len(features.origins):
            plan += [Training(f"without {unit.name}", unit, False, each, without) for each in seeds]
    for unit in units:
        without = unit.other_features(features)
        if without and len(without) < len(features.origins):
            plan.append(Training(f"{unit.name} alone", unit, True, seed, without))
    return plan


def _run(
    plan: Sequence[Training], trainings: Trainings, metric: Metric, rows: Rows
) -> dict[tuple[Unit | None, bool], list[Scores]]:
    """The scores of the trainings by what they are for."""
    found: dict[tuple[Unit | None, bool], list[Scores]] = {}
    for place, each in enumerate(plan, 1):
        with prefixed(f"training {place} of {len(plan)}, {each.label}, seed {each.seed}: "):
            scores = rows.scores(metric, trainings.train(each.seed, each.without))
            report(f"{metric.name} {scores.value:.4g}")
        found.setdefault((each.unit, each.is_alone), []).append(scores)
    return found


def _measured(
    unit: Unit, scores: Mapping[tuple[Unit | None, bool], list[Scores]], metric: Metric, trivial: Scores
) -> Measured:
    everything = scores[None, False]
    without = scores.get((unit, False), [trivial] * len(everything))
    alone = scores.get((unit, True))
    if alone is None and (unit, False) not in scores:
        alone = everything[:1]  # there are no other columns
    return Measured(
        unit.name,
        unit.kind,
        unit.columns,
        difference(metric, everything, without),
        difference(metric, alone, [trivial]) if alone else None,
        _mean(without),
    )


def _trivial(problem: Problem, metric: Metric, labels: Any, weights: Any, rows: Rows) -> Scores:
    """The scores of the best constant for the training rows."""
    fitted = TrivialSettings(TRAIN, problem.task, problem.label_tensor, len(problem.class_names), None)
    model = fit_trivial(fitted, [LabeledRows(labels, weights)])
    constant = model.prediction(metric.name, {"index": 1} if metric.name == "f1" else {})
    found = rows.scores(metric, np.tile(np.array(constant, np.float64), (len(rows.labels), 1)))
    if not math.isfinite(found.value):
        raise ValueError(
            f"{metric.name} is not defined on the validation split; expected rows of every class there, so check "
            "data.splits"
        )
    return found


def _mean(scores: Sequence[Scores]) -> float:
    return sum(each.value for each in scores) / len(scores)
