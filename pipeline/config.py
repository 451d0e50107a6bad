"""Settings: one YAML a problem, loaded into frozen records and checked before anything heavy is imported."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from models.features import STRICT, Features, Label, Problem, Task
from models.settings import DEFAULT_NETWORK, Hyperparameters, Network, Training, Tuning
from pipeline.config_errors import ConfigError, describe, unknown_name
from pipeline.config_yaml import override, read_yaml
from pipeline.metrics import METRICS

ROOT = Path(__file__).resolve().parent.parent
TRAIN, VALIDATION, EVAL = SPLITS = ("train", "validation", "eval")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Splits:
    """Share of the rows by split, in any unit.

    Attributes:
        train: Learnt from.
        validation: Stops and tunes training.
        eval: Seen by the Evaluator alone.
    """

    train: Annotated[int, Ge(1)] = 7
    validation: Annotated[int, Ge(1)] = 1
    eval: Annotated[int, Ge(1)] = 2


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Data:
    """Where the table is and how it is split.

    Attributes:
        path: Folder of CSV files, each with the same header line; relative to the project's folder.
        pattern: Which files of the folder.
        schema: Curated TFDV schema (text proto) that the data must meet.
        splits: How the rows are shared out.
        split_key: Column whose value decides the split, so that rows that share it never stand on two sides;
            ``None`` hashes the whole row.
        split_seed: Another seed makes another split.
    """

    path: str
    schema: str
    pattern: str = "*.csv"
    splits: Splits = Field(default_factory=Splits)
    split_key: str | None = None
    split_seed: int = 0


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Threshold:
    """A bound that the candidate has to keep to be blessed.

    Attributes:
        metric: A metric of the task.
        slice: Column values of the rows it is taken over; empty for all rows.
        min: Smallest value allowed.
        max: Largest value allowed; on a metric that is better when larger, a guard against leakage.
        min_change: Smallest allowed difference from the latest blessed model.
        max_change: Largest allowed difference from it.
    """

    metric: str
    slice: dict[str, str | int] = Field(default_factory=dict)
    min: float | None = None
    max: float | None = None
    min_change: float | None = None
    max_change: float | None = None

    def __post_init__(self) -> None:
        bounds = [self.min, self.max, self.min_change, self.max_change]
        if bounds == [None] * 4:
            raise ValueError("no bound; expected one or more of 'min', 'max', 'min_change', 'max_change'")
        if self.min is not None and self.max is not None and self.min >= self.max:
            raise ValueError(f"'min' must be below 'max'; found {self.min} and {self.max}")
        if self.min_change is not None and self.max_change is not None:
            raise ValueError("found both 'min_change' and 'max_change'; a metric is better in one direction only")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Evaluation:
    """What the Evaluator measures on the eval split, and what it blesses.

    Attributes:
        metrics: Metrics of the task.
        slices: Columns to slice by; each entry is one slicing, by one or more columns.
        thresholds: The blessing policy; all must hold.
    """

    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    slices: tuple[tuple[str, ...], ...] = ()
    thresholds: Annotated[tuple[Threshold, ...], Field(min_length=1)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Beam:
    """How Beam runs on this machine.

    Attributes:
        mode: ``in_memory`` (one thread), ``multi_threading`` or ``multi_processing``.
        workers: Threads or processes; 0 takes one a core.
    """

    mode: Literal["in_memory", "multi_threading", "multi_processing"] = "in_memory"
    workers: Annotated[int, Ge(0)] = 1


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    """All settings of one problem; the YAML's keys are these fields.

    Attributes:
        name: The problem's name: the pipeline's, the model's and the output folder's.
        task: ``binary``, ``multiclass`` or ``regression``.
        label: What is predicted.
        features: What it is predicted from.
        data: The table.
        network: The network and its hyperparameters.
        training: How it is trained.
        tuning: How it is tuned.
        evaluation: Metrics, slices and the blessing policy.
        beam: How Beam runs.
        output: Folder of everything that runs leave behind; ``output/<name>`` if empty.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    task: Task
    label: Label
    features: Features
    data: Data
    evaluation: Evaluation
    network: Network = Field(default_factory=Network)
    training: Training = Field(default_factory=Training)
    tuning: Tuning = Field(default_factory=Tuning)
    beam: Beam = Field(default_factory=Beam)
    output: str = ""

    def __post_init__(self) -> None:
        self.problem  # noqa: B018 - built here so that its own checks run when the settings are loaded
        self._check_hyperparameters()
        self._check_evaluation()

    @property
    def problem(self) -> Problem:
        """Task, label and features as one record."""
        return Problem(task=self.task, label=self.label, features=self.features)

    @property
    def artifacts_dir(self) -> str:
        """Root of TFX's artifacts."""
        return f"{self.output}/artifacts"

    @property
    def serving_dir(self) -> str:
        """Folder whose numbered sub-folders TensorFlow Serving loads."""
        return f"{self.output}/serving/{self.name}"

    @property
    def metadata_path(self) -> str:
        """ML Metadata's SQLite file."""
        return f"{self.output}/metadata.db"

    def _check_hyperparameters(self) -> None:
        known = [field.name for field in dataclasses.fields(Hyperparameters)]
        if self.network.function == DEFAULT_NETWORK:
            for name in self.network.hyperparameters:
                if name not in known:
                    raise ValueError(unknown_name(f"network.hyperparameters.{name}", "hyperparameter", name, known))
            try:
                Hyperparameters(**self.network.hyperparameters)  # type: ignore[arg-type]
            except ValidationError as error:
                raise ValueError(describe(error, Hyperparameters, "network.hyperparameters")) from error
        else:
            known = list(self.network.hyperparameters)
        for name in self.tuning.search:
            if name not in known:
                raise ValueError(unknown_name(f"tuning.search.{name}", "hyperparameter", name, known))
        if self.tuning.enabled and not self.tuning.search:
            raise ValueError("tuning.search: empty; name a hyperparameter to search, or set tuning.enabled to false")

    def _check_evaluation(self) -> None:
        known = list(METRICS[self.task])
        policy = self.evaluation
        for index, name in enumerate(policy.metrics):
            if name not in known:
                raise ValueError(unknown_name(f"evaluation.metrics.{index}", f"{self.task} metric", name, known))
        for index, threshold in enumerate(policy.thresholds):
            key = f"evaluation.thresholds.{index}"
            if threshold.metric not in policy.metrics:
                raise ValueError(unknown_name(f"{key}.metric", "metric", threshold.metric, policy.metrics))
            if threshold.slice and set(threshold.slice) not in [set(columns) for columns in policy.slices]:
                raise ValueError(f"{key}.slice: {list(threshold.slice)} is not among evaluation.slices; add it there")
        if not any(t.slice == {} and (t.min is not None or t.max is not None) for t in policy.thresholds):
            raise ValueError(
                "evaluation.thresholds: none bounds a metric's value over all rows; on a first run there is no model "
                "to compare with, so add one with 'min' or 'max' and no 'slice'"
            )


_CONFIG = TypeAdapter(Config)


def load_config(
    path: Path,
    overrides: Mapping[str, str] | None = None,
    data: str | None = None,
    output: str | None = None,
    tune: bool | None = None,
) -> Config:
    """Loads and checks a problem's settings.

    Args:
        path: The YAML file.
        overrides: Values, in YAML, by dotted key (``training.steps``).
        data: Takes the place of ``data.path``.
        output: Takes the place of ``output``.
        tune: Takes the place of ``tuning.enabled``.

    Returns:
        The settings; paths are absolute.

    Raises:
        ConfigError: One line that names the file, the key, what was found and what is allowed.
    """
    values = read_yaml(path)
    for key, text in (overrides or {}).items():
        override(values, key, text)
    if tune is not None:
        override(values, "tuning.enabled", json.dumps(tune))
    try:
        # Through JSON, so that strict types hold while YAML's lists may become tuples.
        config = _CONFIG.validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        text = describe(error, Config)
        source = "--set" if text.partition(":")[0] in (overrides or {}) else path
        raise ConfigError(f"{source}: {text}") from error
    here = Path.cwd()
    table = dataclasses.replace(
        config.data,
        path=str(here / data) if data else str(ROOT / config.data.path),
        schema=str(ROOT / config.data.schema),
    )
    folder = here / output if output else ROOT / (config.output or f"output/{config.name}")
    return dataclasses.replace(config, data=table, output=str(folder))
