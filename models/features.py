"""What a problem is made of: its task, its label and its features, as the YAML declares them.

These records import nothing heavy, so that settings are checked before TensorFlow is loaded, and they travel
to ``preprocessing_fn``, ``tuner_fn`` and ``run_fn`` as ``custom_config``, which ML Metadata records.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from annotated_types import Ge, Gt, Le
from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

WIDEST_RANGE = 100_000
MOST_BUCKETS = 10_000_000

Task = Literal["binary", "multiclass", "regression"]
Kind = Literal["dense", "bucketed", "integer", "vocabulary", "hashed", "cyclical"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Dense:
    """A number fed to the network as it is, scaled over the training split.

    Attributes:
        scale: ``z_score`` (zero mean, unit variance), ``min_max`` (0 to 1) or ``none``.
        log: Take ``sign(x) * log(1 + |x|)`` first, for heavy tails.
    """

    scale: Literal["z_score", "min_max", "none"] = "z_score"
    log: bool = False


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Bucketed:
    """A number replaced by the index of its quantile over the training split.

    Attributes:
        buckets: Number of quantile buckets.
    """

    buckets: Annotated[int, Ge(2), Le(MOST_BUCKETS)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Integer:
    """A whole number out of a small known range, such as a month, used as a category.

    Attributes:
        min: Smallest value.
        max: Largest value; those outside the range share one index of their own.
    """

    min: int
    max: int

    def __post_init__(self) -> None:
        if self.min >= self.max:
            raise ValueError(f"'min' must be below 'max'; found {self.min} and {self.max}")
        if self.max - self.min >= WIDEST_RANGE:
            raise ValueError(f"the range has more than {WIDEST_RANGE:,} values; use 'hashed' or 'bucketed' for it")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Vocabulary:
    """A category replaced by its rank by frequency in the training split.

    Attributes:
        top_k: Keep the most frequent values only; ``None`` keeps all.
        min_frequency: Drop values seen less often than this.
        oov_buckets: Hash buckets for values that the vocabulary does not hold.
    """

    top_k: Annotated[int, Ge(1)] | None = None
    min_frequency: Annotated[int, Ge(1)] = 1
    oov_buckets: Annotated[int, Ge(1)] = 1


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Hashed:
    """A category replaced by a hash of it, for columns with more values than a vocabulary should hold.

    Attributes:
        buckets: Number of hash buckets.
    """

    buckets: Annotated[int, Ge(2), Le(MOST_BUCKETS)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Cyclical:
    """A number that comes round again, such as an hour, replaced by the sine and cosine of its angle.

    Attributes:
        period: Length of one round, in the column's own unit.
    """

    period: Annotated[float, Gt(0)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Above:
    """A threshold that turns a number into a binary label: ``column > fraction * of``, or ``column > value``.

    Attributes:
        value: A constant to compare with.
        fraction: A share of the column ``of`` to compare with.
        of: The column that ``fraction`` is taken of.
    """

    value: float | None = None
    fraction: float | None = None
    of: str | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.fraction is None) or (self.fraction is None) != (self.of is None):
            raise ValueError("give either 'value', or 'fraction' together with 'of'")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Label:
    """What the model learns to predict.

    Attributes:
        name: Name of the transformed label.
        column: Raw column that holds the answer.
        above: Threshold that makes a binary label of a number.
        classes: Class names by class index. Without ``above`` these are the raw column's own values.
    """

    name: str
    column: str
    above: Above | None = None
    classes: Annotated[tuple[str, ...], Field(min_length=2)] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns that the label is made of."""
        return (self.column, self.above.of) if self.above and self.above.of else (self.column,)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Features:
    """Raw columns by how they become features; one column may stand under several kinds."""

    dense: dict[str, Dense] = Field(default_factory=dict)
    bucketed: dict[str, Bucketed] = Field(default_factory=dict)
    integer: dict[str, Integer] = Field(default_factory=dict)
    vocabulary: dict[str, Vocabulary] = Field(default_factory=dict)
    hashed: dict[str, Hashed] = Field(default_factory=dict)
    cyclical: dict[str, Cyclical] = Field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[Kind, str]]:
        """Yields ``(kind, column)`` of each feature, in a fixed order."""
        for kind in KINDS:
            for column in getattr(self, kind):
                yield kind, column

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns read, each once."""
        return tuple(dict.fromkeys(column for _, column in self))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Problem:
    """One learning problem over one table.

    Attributes:
        task: ``binary``, ``multiclass`` or ``regression``.
        label: What is predicted.
        features: What it is predicted from.
    """

    task: Task
    label: Label
    features: Features

    def __post_init__(self) -> None:
        if not self.features.columns:
            raise ValueError("features: none declared; the network needs at least one")
        if self.label.column in self.features.columns:
            raise ValueError(
                f"features: '{self.label.column}' is the label's own column; a model that reads its answer is no model"
            )
        if self.label.above and self.label.above.of == self.label.column:
            raise ValueError(f"label.above.of: found '{self.label.column}', the label's own column; name another one")
        names = [transformed_name(kind, column) for kind, column in self.features]
        if self.label.name in names:
            raise ValueError(f"label.name: '{self.label.name}' is also the name of a transformed feature; rename it")
        self._check_classes()

    def _check_classes(self) -> None:
        classes = self.label.classes
        if self.task == "regression" and (classes or self.label.above):
            raise ValueError("label: a regression has neither 'classes' nor 'above'")
        if self.task == "multiclass" and not classes:
            raise ValueError("label.classes: missing; a multiclass task needs its class names in order")
        if self.task == "multiclass" and self.label.above:
            raise ValueError("label.above: makes a binary label; found task 'multiclass'")
        if self.task == "binary" and classes and len(classes) != 2:
            raise ValueError(f"label.classes: found {len(classes)} names; a binary task has two")
        if classes and len(set(classes)) != len(classes):
            raise ValueError("label.classes: found a name twice; each class needs its own")

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names by class index; empty for a regression."""
        if self.task == "regression":
            return ()
        return self.label.classes or ("0", "1")

    def to_config(self) -> dict[str, Any]:
        """The record as plain JSON types, for ``custom_config``."""
        config: dict[str, Any] = _PROBLEM.dump_python(self, mode="json")
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Problem":
        """Reads what :meth:`to_config` wrote."""
        return _PROBLEM.validate_python(config, strict=False)


_PROBLEM = TypeAdapter(Problem)


def transformed_name(kind: Kind, column: str) -> str:
    """Name of the transformed feature that ``column`` becomes under ``kind``."""
    return f"{column}_{kind}"
