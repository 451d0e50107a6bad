"""Checks that involve several blocks of the settings."""

import dataclasses
import re
from collections.abc import Sequence

from pydantic import ValidationError

from artifacts.metric_kinds import has_trivial
from artifacts.thresholds import bounds_of
from common.dotted_keys import join_key
from common.remote_paths import is_remote
from custom_components.arrow_example_gen.formats.dialect import COMMAS
from custom_components.arrow_example_gen.source import check_pattern
from models.training_settings import DEFAULT_NETWORK, Hyperparameters, Range, Scalar, Training
from pipeline.config.errors import shortened, unknown_name
from pipeline.config.metrics import COSTS, each_class, find_metric
from pipeline.config.pydantic_errors import describe
from pipeline.config.settings import Config

_IN_BUCKET = re.compile(r"gs://[^/\s]+(/.*)?")


def check_config(config: Config) -> None:
    """Runs all checks of this module.

    Raises:
        ValueError: One line for the first that fails.
    """
    check_files(config)
    check_crosses(config)
    check_hyperparameters(config)
    check_evaluation(config)
    check_class_weights(config)
    check_devices(config)
    check_platform(config)


def check_files(config: Config) -> None:
    """Checks the file pattern, the format, and whether it has the cells that other keys describe.

    Raises:
        ValueError: The pattern is invalid, or gives no format, or other keys describe cells and the format has none.
    """
    try:
        check_pattern(config.data.pattern, config.data.format, config.data.span)
    except ValueError as error:
        raise ValueError(f"data.{error}") from error
    kind = "bigquery" if config.data.bigquery else config.data.source.format
    if config.data.missing_values and kind != "csv":
        raise ValueError(f"data.missing_values: found {kind} rows; expected csv: in other formats, use null")
    for key in ("delimiter", "encoding"):
        found = getattr(config.data, key)
        if kind != "csv" and found != getattr(COMMAS, key):
            raise ValueError(f"data.{key}: found {found!r} for {kind} rows; expected csv: remove the key")


def check_crosses(config: Config) -> None:
    """Checks that the crosses have a known size.

    Raises:
        ValueError: The size of a cross without hash buckets is unknown, or too large.
    """
    for name, spec in config.features.crossed.items():
        try:
            config.features.cross(spec)
        except ValueError as error:
            raise ValueError(f"{join_key(['features', 'crossed', name])}: {error}") from error


def check_hyperparameters(config: Config) -> None:
    """Checks the hyperparameters that are set or searched.

    Raises:
        ValueError: The network does not have a hyperparameter, or a value is invalid.
    """
    known = list(config.network.hyperparameters)
    is_default = config.network.function == DEFAULT_NETWORK
    if is_default:
        known = [field.name for field in dataclasses.fields(Hyperparameters)]
        _check_values("network.hyperparameters", config.network.hyperparameters, known)
    for name, searched in config.tuning.search.items():
        if name not in known:
            raise ValueError(unknown_name(f"tuning.search.{name}", "hyperparameter", name, known))
        for value in _ends(searched) if is_default else ():
            _check_values("tuning.search", {name: value}, known)
    try:
        dataclasses.replace(config.training, steps=config.tuning.steps)  # as the Tuner does for each trial
    except ValidationError as error:
        raise ValueError(describe(error, Training, "tuning")) from error
    if config.tuning.enabled and not config.tuning.search:
        raise ValueError("tuning.search: empty; add a hyperparameter to search, or set tuning.enabled to false")


def check_evaluation(config: Config) -> None:
    """Checks the metrics, the slices and the thresholds.

    Raises:
        ValueError: The task does not have a metric, a threshold has no metric or slice, an entry is listed twice, or
            the thresholds cannot bless a first model.
    """
    policy = config.evaluation
    if policy.weighted and not config.data.weight_column:
        raise ValueError("evaluation.weighted: found true without data.weight_column; name the column of the weights")
    classes = config.problem.class_names
    names = tuple(each_class(config.task, policy.metrics, classes))
    for name in names:
        find_metric(config.task, name, classes, _metric_key(policy.metrics, name))
    check_costs(config)
    slicings = [frozenset(columns) for columns in policy.slices]
    for key, entries in (("metrics", list(names)), ("slices", slicings)):
        if len(set(entries)) != len(entries):
            raise ValueError(f"evaluation.{key}: found an entry twice; expected each once")
    for index, threshold in enumerate(policy.thresholds):
        key = f"evaluation.thresholds.{index}"
        if threshold.metric not in names:
            raise ValueError(unknown_name(f"{key}.metric", "metric", threshold.metric, names))
        if threshold.slice and set(threshold.slice) not in slicings:
            raise ValueError(f"{key}.slice: found {list(threshold.slice)}; add it to evaluation.slices")
        if threshold.better_than_trivial is not None and not has_trivial(threshold.metric):
            allowed = ", ".join(name for name in names if has_trivial(name))
            expected = f"one of {allowed}" if allowed else "another metric, such as accuracy, loss or mse"
            raise ValueError(f"{key}.better_than_trivial: found '{threshold.metric}'; expected {expected}")
    if not any(not t.slice and any(each.kind != "change" for each in bounds_of(t)) for t in policy.thresholds):
        raise ValueError(
            "evaluation.thresholds: found no bound on a metric over all rows; add one with 'min', 'max' or "
            "'better_than_trivial' and no 'slice', since on a first run there is no model to compare with"
        )


def check_costs(config: Config) -> None:
    """Checks the cost matrix.

    Raises:
        ValueError: It is missing or not used, or does not have a row and a column for each class.
    """
    costs, classes, key = config.evaluation.cost_matrix, config.problem.class_names, "evaluation.cost_matrix"
    used = [name for name in config.evaluation.metrics if name in COSTS]
    if costs is None:
        if used:
            raise ValueError(f"{key}: missing; expected the costs for evaluation.metrics '{used[0]}'")
        return
    if not used:
        raise ValueError(
            f"{key}: found without 'expected_cost' or 'optimal_cost' in evaluation.metrics; add one of them"
        )
    widths = {len(row) for row in costs}
    if len(costs) != len(classes) or widths != {len(classes)}:
        columns = " or ".join(map(str, sorted(widths)))
        raise ValueError(
            f"{key}: found {len(costs)} rows of {columns or 'no'} numbers; expected {len(classes)} rows of "
            f"{len(classes)}: for each actual class, the cost of predicting {', '.join(map(shortened, classes[:20]))}"
        )


def check_class_weights(config: Config) -> None:
    """Checks that class weights are for classes of the label.

    Raises:
        ValueError: The task has no classes, or a name is not one of them.
    """
    weights, key = config.training.class_weights, "training.class_weights"
    if weights is None:
        return
    if config.task == "regression":
        raise ValueError(f"{key}: found {weights} for a regression; expected a task with classes")
    for name in weights if isinstance(weights, dict) else ():
        if name not in config.problem.class_names:
            raise ValueError(unknown_name(f"{key}.{name}", "class", name, config.problem.class_names))


def check_devices(config: Config) -> None:
    """Checks that a device can compute all features, if the model is converted for one.

    Raises:
        ValueError: TFLite cannot compute a feature.
    """
    for kind, name in config.features if config.tflite.enabled else ():
        if missing := config.features.spec(kind, name).not_on_devices:
            raise ValueError(
                f"{join_key(['features', kind, name])}: TFLite's builtin operators cannot {missing}; set "
                "tflite.enabled to false, or remove the feature"
            )


def check_platform(config: Config) -> None:
    """Checks the settings that depend on the orchestrator.

    Raises:
        ValueError: A setting is missing, or is not supported by the orchestrator.
    """
    if config.orchestrator == "local":
        for name in ("project", "bucket") if config.data.bigquery else ():
            if getattr(config.vertex, name) is None:
                raise ValueError(
                    f"vertex.{name}: missing; data.bigquery needs vertex.project, which is billed for the query, and "
                    "vertex.bucket for the exported rows"
                )
        if config.tuning.enabled and config.tuning.algorithm == "vizier":
            raise ValueError(
                "tuning.algorithm: found 'vizier', which is a Google Cloud service; expected 'bayesian' or 'random' "
                "for local runs"
            )
        return
    for name in ("project", "region", "bucket", "image"):
        if getattr(config.vertex, name) is None:
            raise ValueError(f"vertex.{name}: missing; set it there or with --{name}")
    if config.vertex.endpoint and config.vertex.endpoint.image is None:
        raise ValueError(
            "vertex.endpoint.image: missing; expected a TensorFlow Serving image in Artifact Registry, such as "
            "europe-west4-docker.pkg.dev/PROJECT/docker-hub/tensorflow/serving:2.19.1"
        )
    if config.metadata.kind != "sqlite":
        raise ValueError(
            f"metadata.kind: found '{config.metadata.kind}'; expected no 'metadata' block on Vertex AI, which has its "
            "own metadata store: drop the block with --set 'metadata={}'"
        )
    if config.beam.runner != "local":
        raise ValueError(
            f"beam.runner: found '{config.beam.runner}'; expected 'local' on Vertex AI, or add a 'dataflow' block"
        )
    _check_paths(config)
    _check_jobs(config)


def _metric_key(metrics: Sequence[str], name: str) -> str:
    """The key of a metric. One that stands for several, such as ``recall(*)``, is never invalid."""
    return f"evaluation.metrics.{metrics.index(name)}" if name in metrics else "evaluation.metrics"


def _check_paths(config: Config) -> None:
    """Checks that steps in the cloud can read the table and write the output."""
    path = config.data.path
    test = config.data.test_path or ""
    for key, found in (("data.path", path), ("data.test_path", test), ("output", config.output)):
        if is_remote(found) and not _IN_BUCKET.fullmatch(found):
            raise ValueError(f"{key}: found '{found}'; expected gs://BUCKET or a folder in it, as Vertex AI requires")
    for key, found in (("data.path", path), ("data.test_path", test)):
        if config.dataflow and found and not found.startswith("gs://"):
            raise ValueError(
                f"{key}: found '{found}'; expected gs://…, since Dataflow workers cannot read other folders"
            )
        if found.startswith("/"):
            raise ValueError(
                f"{key}: found '{found}'; expected gs://…, or a path in the project's folder, which the image contains"
            )


def _check_jobs(config: Config) -> None:
    """Checks the machines of the Trainer's and the Tuner's jobs."""
    training, vertex = config.training, config.vertex
    nodes = ["Trainer", *(["Tuner"] if config.tuning.enabled else [])]
    for node in nodes:
        machine = vertex.machines.get(node)
        has_tpu = machine is not None and machine.is_tpu
        if has_tpu != (training.strategy == "tpu"):
            found = machine.type if machine else "no machine"
            kinds = "a machine without a TPU" if has_tpu else "a TPU host (such as ct5lp-hightpu-4t)"
            raise ValueError(
                f"vertex.machines.{node}: found {found}, with training.strategy '{training.strategy}'; expected {kinds}"
            )
    if training.strategy == "tpu" and config.tuning.enabled and config.tuning.workers > 1:
        raise ValueError(f"tuning.workers: found {config.tuning.workers}; expected 1, since a job has at most one TPU")
    if vertex.reduction_servers:
        chief = vertex.machines.get("Trainer")
        has_gpus = chief is not None and (chief.accelerator or "").startswith("NVIDIA")
        if training.workers == 1 or training.strategy not in ("auto", "multi_worker") or not has_gpus:
            raise ValueError(
                f"vertex.reduction_servers: found training.strategy '{training.strategy}', training.workers "
                f"{training.workers} and {'' if has_gpus else 'no '}GPUs in vertex.machines.Trainer; expected "
                "'multi_worker', more than one worker, and GPUs"
            )


def _check_values(key: str, values: dict[str, Scalar], known: list[str]) -> None:
    for name in values:
        if name not in known:
            raise ValueError(unknown_name(f"{key}.{name}", "hyperparameter", name, known))
    try:
        Hyperparameters(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ValueError(describe(error, Hyperparameters, key)) from error


def _ends(searched: Range) -> list[Scalar]:
    if searched.values is not None:
        return list(searched.values)
    return [end for end in (searched.min, searched.max) if end is not None]
