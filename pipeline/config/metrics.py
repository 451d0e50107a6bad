"""Metrics that settings may name, and the Evaluator's classes for them."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from models.problem.problem import Task
from pipeline.config.errors import shortened, unknown_name

_PACKAGE = "custom_components.batched_evaluator"
METRICS_MODULE = f"{_PACKAGE}.metrics"
CLASS_MODULE = f"{_PACKAGE}.class_metrics"
VALUE_MODULE = f"{_PACKAGE}.value_metrics"
RATIO_MODULE = f"{_PACKAGE}.ratio_metrics"
COSTS = ("expected_cost", "optimal_cost")  # need evaluation.cost_matrix
ALL = "*"  # the argument that stands for every class
_WITH_ARGUMENT = re.compile(r"(\w+)\((.*)\)", re.DOTALL)


class Metric(NamedTuple):
    """A metric of the Evaluator.

    Attributes:
        class_name: Name of the class, without the prefix ``Batched``. TFMA uses its own class for a known name,
            regardless of the module.
        module: The module of the class.
        settings: Its settings, except for the name.
    """

    class_name: str
    module: str = METRICS_MODULE
    settings: Mapping[str, Any] = {}


class Argument(NamedTuple):
    """What a metric takes in parentheses.

    Attributes:
        name: Name of the metric's setting.
        example: Shown in errors.
        expected: What it has to be, shown in errors.
        read: Reads it, given the names of the classes, and raises ``ValueError`` if it is invalid.
        default: The setting without an argument, or ``None`` if it is required.
    """

    name: str
    example: str
    expected: str
    read: Callable[[str, Sequence[str]], int | float]
    default: int | None = None


def _class(text: str, classes: Sequence[str]) -> int:
    return classes.index(text)


def _count(text: str, classes: Sequence[str]) -> int:
    if not text.isdecimal() or not 1 <= int(text) < len(classes):
        raise ValueError(text)
    return int(text)


def _fraction(text: str, _classes: Sequence[str]) -> float:
    if not 0 < float(text) < 1:
        raise ValueError(text)
    return float(text)


_OF_CLASS = Argument("index", "CLASS", "a class", _class)
_OF_CLASS_1 = _OF_CLASS._replace(default=1)
_TOP = Argument("k", "3", "a number of classes below that of the label", _count)
_QUANTILE = Argument("quantile", "0.9", "a fraction between 0 and 1", _fraction)
_MEASURES = ("precision", "recall", "f1")
_AVERAGES = (
    *(f"{each}_{average}" for average in ("macro", "weighted") for each in _MEASURES),
    "balanced_accuracy",
    "mcc",
)

_OF_CLASSES = {
    "accuracy": Metric("Accuracy"),
    **{name: Metric("ClassMetric", CLASS_MODULE, {"statistic": name}) for name in (*_MEASURES, *_AVERAGES)},
    "brier": Metric("BrierScore"),
    "expected_cost": Metric("ExpectedCost"),
    "optimal_cost": Metric("ExpectedCost", settings={"optimal": True}),
    "example_count": Metric("ExampleCount"),
}
METRICS: dict[Task, dict[str, Metric]] = {
    "binary": {
        "auc": Metric("AUC"),
        "pr_auc": Metric("AUCPrecisionRecall"),
        "average_precision": Metric("AveragePrecision", VALUE_MODULE),
        "calibration": Metric("Calibration", RATIO_MODULE),
        **dict.fromkeys(("loss", "log_loss"), Metric("BinaryCrossEntropy")),
        **_OF_CLASSES,
    },
    "multiclass": {
        "top_k_accuracy": Metric("TopKAccuracy"),
        **dict.fromkeys(("loss", "log_loss"), Metric("SparseCategoricalCrossentropy")),
        **_OF_CLASSES,
    },
    "regression": {
        "mse": Metric("MeanSquaredError"),
        "rmse": Metric("RootMeanSquaredError"),
        "mae": Metric("MeanAbsoluteError"),
        "mape": Metric("MeanAbsolutePercentageError"),
        "median_absolute_error": Metric("AbsoluteErrorQuantile", VALUE_MODULE, {"quantile": 0.5}),
        "absolute_error_quantile": Metric("AbsoluteErrorQuantile", VALUE_MODULE),
        "r2": Metric("RSquared", RATIO_MODULE),
        "calibration": Metric("Calibration", RATIO_MODULE),
        "mean_label": Metric("MeanLabel"),
        "mean_prediction": Metric("MeanPrediction"),
        "example_count": Metric("ExampleCount"),
    },
}
ARGUMENTS: dict[Task, dict[str, Argument]] = {
    "binary": dict.fromkeys(_MEASURES, _OF_CLASS_1),
    "multiclass": {**dict.fromkeys(_MEASURES, _OF_CLASS), "top_k_accuracy": _TOP},
    "regression": {"absolute_error_quantile": _QUANTILE},
}


def find_metric(task: Task, name: str, classes: Sequence[str], key: str = "evaluation.metrics") -> Metric:
    """Finds the class and the settings of a metric.

    Args:
        task: The task.
        name: Its name in the settings, such as ``auc`` or ``recall(rare)``.
        classes: Names of the label's classes.
        key: The key of the settings, for errors.

    Raises:
        ValueError: There is no such metric, or its argument is missing or invalid, in one line.
    """
    found = _WITH_ARGUMENT.fullmatch(name)
    base, text = found.groups() if found else (name, None)
    metric, argument = METRICS[task].get(base), ARGUMENTS[task].get(base)
    if metric is None or (argument is None and text is not None):
        raise ValueError(unknown_name(key, f"{task} metric", name, usages(task)))
    settings = dict(metric.settings)
    if argument:
        try:
            settings[argument.name] = _argument(argument, base, text, classes)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
    if metric.module == CLASS_MODULE:
        settings["classes"] = len(classes)
    return metric._replace(settings=settings)


def each_class(task: Task, names: Sequence[str], classes: Sequence[str]) -> Iterator[str]:
    """Yields the names of metrics, with ``recall(*)`` replaced by the recall of each class.

    >>> list(each_class("binary", ["auc", "recall(*)"], ["no", "yes"]))
    ['auc', 'recall(no)', 'recall(yes)']
    """
    for name in names:
        base = name.removesuffix(f"({ALL})")
        argument = ARGUMENTS[task].get(base)
        if base != name and argument and argument.name == _OF_CLASS.name:
            yield from (f"{base}({each})" for each in classes)
        else:
            yield name


def usages(task: Task) -> list[str]:
    """How the metrics of a task are named, with the form of their arguments."""
    forms = []
    for name in METRICS[task]:
        argument = ARGUMENTS[task].get(name)
        forms += [name] if argument is None or argument.default is not None else []
        forms += [f"{name}({argument.example})"] if argument else []
    return sorted(forms)


def _argument(argument: Argument, base: str, text: str | None, classes: Sequence[str]) -> int | float:
    if text is None and argument.default is not None:
        return argument.default
    allowed = f" ({', '.join(map(shortened, classes[:20]))})" if argument.name == _OF_CLASS.name else ""
    if text is None:
        raise ValueError(f"found '{base}'; expected {base}({argument.example}), with {argument.expected}{allowed}")
    try:
        return argument.read(text, classes)
    except ValueError:
        raise ValueError(f"found '{base}({shortened(text)})'; expected {argument.expected}{allowed}") from None
