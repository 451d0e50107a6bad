"""Settings of one problem as frozen records, which check themselves before anything heavy is imported."""

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import Field
from pydantic.dataclasses import dataclass

from custom_components.arrow_example_gen.source import Format, Source, format_of
from lineage.store.location import SQLITE_FILE, Sqlite, StoreLocation
from models.features import STRICT, Features, Label, Problem, Task
from models.settings import Network, Training, Tuning
from pipeline.config.cloud import Dataflow, Flink, Vertex
from pipeline.config.metadata_store import Metadata

MOST_NAME = 128  # characters of a pipeline's name on Vertex AI
TRAIN, VALIDATION, EVAL = SPLITS = ("train", "validation", "eval")


Share = Annotated[int, Ge(1), Le(1_000_000)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Splits:
    """Share of the rows by split, in any unit.

    Attributes:
        train: Learnt from.
        validation: Stops and tunes training.
        eval: Seen by the Evaluator alone.
    """

    train: Share = 7
    validation: Share = 1
    eval: Share = 2


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BigQuery:
    """A table that a query gives.

    Attributes:
        query: Standard SQL; its columns are the table's.
    """

    query: Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Data:
    """Where the table is and how it is split.

    Attributes:
        path: Folder of files that share their columns; relative to the project's folder.
        bigquery: A table of BigQuery's instead.
        pattern: Which files of the folder. ``{SPAN}`` and ``{VERSION}``, or ``{YYYY}``, ``{MM}`` and ``{DD}``, stand
            for those of the latest span and of its latest version.
        format: ``csv``, ``parquet`` or ``tfrecord``; without one the pattern's ending says it.
        span: Another span than the latest.
        schema: Curated TFDV schema (text proto) that the data must meet.
        splits: How the rows are shared out.
        split_key: Column whose value decides the split, so that rows that share it never stand on two sides;
            ``None`` hashes the whole row.
        split_seed: Another seed makes another split.
    """

    schema: str
    path: str = ""
    bigquery: BigQuery | None = None
    pattern: Annotated[str, Field(min_length=1)] = "*.csv"
    format: Format | None = None
    span: Annotated[int, Ge(0)] | None = None
    splits: Splits = Field(default_factory=Splits)
    split_key: str | None = None
    split_seed: int = 0

    def __post_init__(self) -> None:
        if bool(self.path) == bool(self.bigquery):
            raise ValueError("give either 'path', a folder of files, or 'bigquery'")

    @property
    def source(self) -> Source:
        """The files of the table."""
        kind = self.format or format_of(self.pattern)
        assert kind  # by check_files
        return Source(self.path, self.pattern, kind, self.span)


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
    slices: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] = ()
    thresholds: Annotated[tuple[Threshold, ...], Field(min_length=1)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SkewGuard:
    """How far the skew guard looks, and what a served model may take.

    Attributes:
        max_examples: Rows of the eval split that it replays.
        max_seconds: Wall time in which a fresh process has to load the model and answer.
        max_megabytes: Memory that it may take for that.
    """

    max_examples: Annotated[int, Ge(1)] = 10_000
    max_seconds: Annotated[int, Ge(1)] = 120
    max_megabytes: Annotated[int, Ge(1)] = 4_000


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Tflite:
    """What devices get.

    Attributes:
        enabled: Whether a TFLite model is exported and pushed beside the SavedModel.
        quantization: Of the network: ``none``, ``dynamic_range`` (8-bit weights), ``float16`` (weights) or ``int8``
            (weights and activations). The features are never rounded.
        max_examples: Rows of the eval split that it is held against, one by one, as a device takes them.
        max_difference: Largest difference from the SavedModel's predictions before anything is quantized, relative
            where they are above 1.
        max_quality_loss: How much lower the AUC (binary), accuracy (multiclass) or R² (regression) may be than the
            SavedModel's on the eval split.
    """

    enabled: bool = True
    quantization: Literal["none", "dynamic_range", "float16", "int8"] = "none"
    max_examples: Annotated[int, Ge(1)] = 5_000
    max_difference: Annotated[float, Ge(0)] = 1e-5
    max_quality_loss: Annotated[float, Ge(0)] = 0.002


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Beam:
    """What Beam runs on.

    Attributes:
        runner: ``local`` (where the step is) or ``flink``. On Vertex AI a ``dataflow`` block takes its place.
        mode: Of the local one: ``in_memory`` (one thread), ``multi_threading``, ``multi_processing``, or ``auto``:
            several processes for Transform over a large table, and one thread for all else.
        workers: Its threads or processes; 0 takes one a core.
        flink: The cluster, where ``runner`` is ``flink``.
    """

    runner: Literal["local", "flink"] = "local"
    mode: Literal["auto", "in_memory", "multi_threading", "multi_processing"] = "auto"
    workers: Annotated[int, Ge(0), Le(256)] = 0
    flink: Flink = Field(default_factory=Flink)


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
        skew_guard: Limits of the skew guard.
        tflite: What devices get.
        beam: What Beam runs on.
        metadata: Where ML Metadata is kept.
        orchestrator: What runs the steps: ``local``, or ``vertex``, which ``vertex_runner.py`` sets.
        vertex: How they run on Vertex AI.
        dataflow: How Beam's steps run on Dataflow, under Vertex AI; ``None`` runs them where the step is.
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
    skew_guard: SkewGuard = Field(default_factory=SkewGuard)
    tflite: Tflite = Field(default_factory=Tflite)
    beam: Beam = Field(default_factory=Beam)
    metadata: Metadata = Field(default_factory=Metadata)
    orchestrator: Literal["local", "vertex"] = "local"
    vertex: Vertex = Field(default_factory=Vertex)
    dataflow: Dataflow | None = None
    output: str = ""

    def __post_init__(self) -> None:
        self.problem  # noqa: B018 - built here so that its own checks run when the settings are loaded

    @property
    def problem(self) -> Problem:
        """Task, label and features as one record."""
        return Problem(task=self.task, label=self.label, features=self.features)

    @property
    def pipeline_name(self) -> str:
        """The pipeline's: the problem's, with dashes where Vertex AI takes no underscores."""
        return self.name if self.orchestrator == "local" else self.name.replace("_", "-")[:MOST_NAME]

    @property
    def artifacts_dir(self) -> str:
        """Root of TFX's artifacts."""
        return f"{self.output}/artifacts"

    @property
    def serving_dir(self) -> str:
        """Folder whose numbered sub-folders TensorFlow Serving loads."""
        return f"{self.output}/serving/{self.name}"

    @property
    def tflite_dir(self) -> str:
        """Folder whose numbered sub-folders hold what devices load."""
        return f"{self.output}/tflite/{self.name}"

    @property
    def store(self) -> StoreLocation:
        """Where ML Metadata is kept, for runs on this machine."""
        return self.metadata.server or Sqlite(Path(self.output) / SQLITE_FILE)
