"""All settings of one problem, as frozen dataclasses that check their own values."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le, Lt
from pydantic import AfterValidator, Field, FiniteFloat
from pydantic.dataclasses import dataclass

from artifacts.thresholds import bounds_of
from custom_components.arrow_example_gen.formats.dialect import UTF8, Dialect, checked_delimiter, checked_encoding
from custom_components.arrow_example_gen.formats.file_format import Format
from custom_components.arrow_example_gen.source import Source, format_of, last_part
from custom_components.arrow_example_gen.splits.settings import SplitBy, parse_gap
from lineage.store.location import SQLITE_FILE, Sqlite, StoreLocation
from models.problem.features import Features
from models.problem.label import Label
from models.problem.problem import Problem, Task
from models.problem.types import MAX_COUNT, MAX_NAME, STRICT, Int64, PositiveInt
from models.training_settings import Network, Training, Tuning
from pipeline.config.beam import Beam, Dataflow
from pipeline.config.metadata import Metadata
from pipeline.config.metrics import each_class
from pipeline.config.vertex import Vertex

TRAIN, VALIDATION, EVAL = SPLITS = ("train", "validation", "eval")
EXAMPLE_COUNT = "example_count"  # the metric

Weight = Annotated[int, Ge(1), Le(1_000_000)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Splits:
    """Relative sizes of the splits.

    Attributes:
        train: Rows to train on.
        validation: Rows for early stopping and tuning.
        eval: Rows that only the Evaluator uses.
    """

    train: Weight = 7
    validation: Weight = 1
    eval: Weight = 2


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BigQuery:
    """A table read from BigQuery.

    Attributes:
        query: A query in GoogleSQL. Its columns are the columns of the table.
    """

    query: Annotated[str, Field(min_length=1)]


def _checked_gap(gap: int | float | str) -> int | float | str:
    parse_gap(str(gap))
    return gap


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Data:
    """The table and its splits.

    Attributes:
        path: Folder of files with the same columns, relative to the project's folder.
        bigquery: A table in BigQuery, instead of ``path``.
        pattern: Files of the folder to read. ``{SPAN}`` and ``{VERSION}``, or ``{YYYY}``, ``{MM}`` and ``{DD}``, match
            the latest span and its latest version.
        format: ``csv``, ``parquet`` or ``tfrecord``. By default the extension of the pattern decides.
        span: Span to read instead of the latest.
        schema: Curated TFDV schema (text proto) that the data must match.
        splits: Relative sizes of the splits.
        split_key: Column whose value decides the split, so that rows with the same value end up in the same split. By
            default the complete row is hashed.
        split_seed: Seed of the split.
        weight_column: Column with the weight of each row in training, and with ``evaluation.weighted`` in evaluation.
        split_time: Column of times that decides the split: training rows are earlier than validation rows, and these
            earlier than eval rows.
        split_gap: Minimum time between two splits by time: a number in the unit of the column, or a duration such as
            ``7d``.
        split_column: Column whose values name the split of each row.
        test_path: File or folder with the rows of the eval split. The other rows are split between train and
            validation.
        missing_values: Cells of CSV files that mean a missing value, such as ``NA``, in addition to the empty cell.
        delimiter: The character between two cells of CSV files.
        encoding: Encoding of CSV files. A byte-order mark is skipped.
    """

    schema: str
    path: str = ""
    bigquery: BigQuery | None = None
    pattern: Annotated[str, Field(min_length=1)] = "*.csv"
    format: Format | None = None
    span: Annotated[int, Ge(0), Le(MAX_COUNT)] | None = None
    splits: Splits = Field(default_factory=Splits)
    split_key: str | None = None
    weight_column: str | None = None
    split_seed: Int64 = 0
    split_time: str | None = None
    split_gap: Annotated[int | float | str, AfterValidator(_checked_gap)] = 0
    split_column: str | None = None
    test_path: str | None = None
    missing_values: tuple[str, ...] = ()
    delimiter: Annotated[str, AfterValidator(checked_delimiter)] = ","
    encoding: Annotated[str, AfterValidator(checked_encoding)] = UTF8

    def __post_init__(self) -> None:
        if bool(self.path) == bool(self.bigquery):
            found = "both 'path' and 'bigquery'" if self.path else "neither 'path' nor 'bigquery'"
            raise ValueError(f"found {found}; expected one of them")
        self._check_splits()

    def _check_splits(self) -> None:
        """Checks that only one setting decides the split of a row.

        Raises:
            ValueError: Two settings exclude each other.
        """
        given = [name for name in ("split_time", "split_column", "test_path") if getattr(self, name) is not None]
        if self.split_time is not None and self.split_key is not None:
            given = ["split_key", *given]
        if len(given) > 1:
            raise ValueError(f"found both '{given[0]}' and '{given[1]}'; expected at most one of them")
        if self.split_gap != 0 and self.split_time is None:
            raise ValueError(f"found 'split_gap' {self.split_gap} without 'split_time'; expected both, or no gap")
        if given and self.bigquery and given != ["split_key"]:
            raise ValueError(
                f"found '{given[0]}' with 'bigquery'; expected a table of files, or split_key: export the table to "
                "Parquet files, or copy it with 'local_runner.py init --data bq://PROJECT.DATASET.TABLE'"
            )

    @property
    def source(self) -> Source:
        """The files of the table."""
        kind = self.format or format_of(self.pattern)
        assert kind  # checked by cross_checks.check_files
        dialect = Dialect(self.delimiter, self.encoding)
        return Source(self.path, self.pattern, kind, self.span, self.missing_values, dialect)

    def split_by(self, required: bool = False) -> SplitBy:
        """What decides the split of a row.

        Args:
            required: Whether the schema demands a value in the column that decides it.
        """
        return SplitBy(
            key=self.split_key,
            time=self.split_time,
            gap=str(self.split_gap),
            column=self.split_column,
            test=self.test_path,
            test_pattern=last_part(self.pattern),
            required=required,
        )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Threshold:
    """A bound that a model has to meet to be blessed.

    Attributes:
        metric: Name of a metric.
        slice: Column values of the rows to compute the metric on, or empty for all rows.
        min: Minimum value.
        max: Maximum value. For a metric that is better when larger, it guards against leakage.
        min_change: Minimum difference from the latest blessed model.
        max_change: Maximum difference from the latest blessed model.
        better_than_trivial: Minimum gain over the trivial model: a difference for metrics that are better when larger,
            and a fraction of the trivial model's for losses, errors and costs. See :func:`artifacts.thresholds.gain`.
    """

    metric: str
    slice: dict[str, str | int | float] = Field(default_factory=dict)
    min: float | None = None
    max: float | None = None
    min_change: float | None = None
    max_change: float | None = None
    better_than_trivial: Annotated[float, Ge(0), Lt(1)] | None = None

    def __post_init__(self) -> None:
        if not bounds_of(self):
            raise ValueError(
                "found no bound; expected at least one of 'min', 'max', 'min_change', 'max_change', "
                "'better_than_trivial'"
            )
        if self.min is not None and self.max is not None and self.min >= self.max:
            raise ValueError(f"'min' must be below 'max'; found {self.min} and {self.max}")
        if self.min_change is not None and self.max_change is not None:
            raise ValueError("found both 'min_change' and 'max_change'; expected the one that bounds a worse metric")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Evaluation:
    """Metrics and slices of the Evaluator, and the thresholds for a blessing.

    Attributes:
        metrics: Metrics to compute on the eval split.
        slices: Columns to slice by. Each entry is one slicing, by one or more columns.
        thresholds: Bounds that a model has to meet to be blessed.
        weighted: Whether rows count by ``data.weight_column``.
        min_rows: Minimum number of rows in the eval split. The check before a run refuses a table that leaves fewer.
            If it cannot read the table, as on Vertex AI, the model is not blessed.
        cost_matrix: Cost of a row by its class and by the predicted class, for ``expected_cost`` and
            ``optimal_cost``.
    """

    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    slices: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] = ()
    thresholds: Annotated[tuple[Threshold, ...], Field(min_length=1)]
    weighted: bool = False
    min_rows: PositiveInt = 10
    cost_matrix: tuple[tuple[FiniteFloat, ...], ...] | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SkewGuard:
    """Limits of the skew guard, which replays raw rows through the serving signatures.

    Attributes:
        max_examples: Maximum number of rows of the eval split to replay.
        max_seconds: Maximum wall time for a new process to load the model and answer a request.
        max_megabytes: Maximum memory of that process.
    """

    max_examples: PositiveInt = 10_000
    max_seconds: PositiveInt = 120
    max_megabytes: PositiveInt = 4_000


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Tflite:
    """The TFLite model for devices.

    Attributes:
        enabled: Whether to export a TFLite model and push it with the SavedModel.
        quantization: Quantization of the network: ``none``, ``dynamic_range`` (8-bit weights), ``float16`` (weights) or
            ``int8`` (weights and activations). The features are never quantized.
        max_examples: Maximum number of rows of the eval split to compare with the SavedModel, one row at a time.
        max_difference: Maximum difference from the SavedModel's predictions before quantization, relative for
            predictions above 1.
        max_quality_loss: Maximum loss of AUC (binary), accuracy (multiclass) or R² (regression) on the eval split,
            compared with the SavedModel.
    """

    enabled: bool = True
    quantization: Literal["none", "dynamic_range", "float16", "int8"] = "none"
    max_examples: PositiveInt = 5_000
    max_difference: Annotated[float, Ge(0)] = 1e-5
    max_quality_loss: Annotated[float, Ge(0)] = 0.002


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    """All settings of one problem. The attributes are the keys of the YAML file.

    Attributes:
        name: Name of the problem, the pipeline, the model and the output folder.
        task: ``binary``, ``multiclass`` or ``regression``.
        label: The label to predict.
        features: The columns to predict it from.
        data: The table.
        network: The network and its hyperparameters.
        training: Steps, batch size, early stopping and distributed training.
        tuning: The search for hyperparameters.
        evaluation: Metrics, slices and thresholds.
        skew_guard: Limits of the skew guard.
        tflite: The TFLite model for devices.
        beam: The runner of Beam steps.
        metadata: The ML Metadata store.
        orchestrator: What runs the steps: ``local``, or ``vertex``, which only ``vertex_runner.py`` sets.
        vertex: How the pipeline runs on Vertex AI.
        dataflow: How Beam steps run on Dataflow in runs on Vertex AI. By default they run in the container of the step.
        output: Folder for everything that runs write, by default ``output/<name>``.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=MAX_NAME)]
    task: Task
    label: Label
    features: Features
    data: Data
    evaluation: Evaluation
    network: Network = Field(default_factory=Network)
    training: Training = Field(default_factory=Training)
    tuning: Tuning = Field(default_factory=Tuning)
    skew_guard: SkewGuard = Field(default_factory=SkewGuard)
    tflite: Tflite = Field(default_factory=Tflite)
    beam: Beam = Field(default_factory=Beam)
    metadata: Metadata = Field(default_factory=Metadata)
    orchestrator: Literal["local", "vertex"] = "local"
    vertex: Vertex = Field(default_factory=Vertex)
    dataflow: Dataflow | None = None
    output: str = ""

    def __post_init__(self) -> None:
        self.problem  # noqa: B018 - runs the checks of Problem when the settings are loaded

    @property
    def problem(self) -> Problem:
        """Task, label and features as one record."""
        return Problem(task=self.task, label=self.label, features=self.features, weight=self.data.weight_column)

    @property
    def policy(self) -> Evaluation:
        """What the Evaluator computes and demands.

        If nothing reads the table before the run, as on Vertex AI and for BigQuery, the Evaluator counts its rows. With
        weights, it counts their sum instead, which says nothing about the number of rows.
        """
        evaluation = self.evaluation
        if evaluation.weighted or (self.orchestrator == "local" and not self.data.bigquery):
            return evaluation
        enough = Threshold(metric=EXAMPLE_COUNT, min=evaluation.min_rows)
        metrics = dict.fromkeys((*evaluation.metrics, EXAMPLE_COUNT))
        return replace(evaluation, metrics=tuple(metrics), thresholds=(*evaluation.thresholds, enough))

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the metrics, with ``recall(*)`` replaced by the recall of each class."""
        return tuple(each_class(self.task, self.policy.metrics, self.problem.class_names))

    @property
    def pipeline_name(self) -> str:
        """Name of the pipeline: the problem's, with dashes on Vertex AI, which allows no underscores."""
        return self.name if self.orchestrator == "local" else self.name.replace("_", "-")

    @property
    def artifacts_dir(self) -> str:
        """Root folder of the TFX artifacts."""
        return f"{self.output}/artifacts"

    @property
    def serving_dir(self) -> str:
        """Base path of the versions that TensorFlow Serving loads."""
        return f"{self.output}/serving/{self.name}"

    @property
    def tflite_dir(self) -> str:
        """Base path of the TFLite versions for devices."""
        return f"{self.output}/tflite/{self.name}"

    @property
    def store(self) -> StoreLocation:
        """The ML Metadata store of local runs."""
        return self.metadata.server or Sqlite(Path(self.output) / SQLITE_FILE)
