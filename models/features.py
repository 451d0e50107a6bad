"""A learning problem as the YAML declares it: its task, its label and its features.

These records import nothing heavy, so settings are checked before TensorFlow is loaded. They reach
``preprocessing_fn``, ``tuner_fn`` and ``run_fn`` as ``custom_config``, which ML Metadata records.

To add a kind of feature:

1. Here: write a record of its settings, add a field to :class:`Features` and a row to :data:`FEATURE_KINDS`.
2. In :mod:`models.preprocessing`: write a function that transforms its columns, and add it to ``TRANSFORMS``. If the
   feature is categorical, add the number of its indices to ``SIZES``.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, get_args

from annotated_types import Ge, Gt, Le
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from models.class_values import class_text
from models.tensor_names import tensor_names

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

MAX_INTEGER_RANGE = 100_000
MAX_BUCKETS = 10_000_000
MAX_COUNT = 2**31 - 1  # TFX and the servers of ML Metadata store 32 bits
MAX_NAME = 128  # characters

Task = Literal["binary", "multiclass", "regression"]
Kind = Literal["dense", "bucketed", "integer", "vocabulary", "hashed", "cyclical"]
KINDS: tuple[Kind, ...] = get_args(Kind)
RawType = Literal["INT", "FLOAT", "BYTES"]
Int64 = Annotated[int, Ge(-(2**63) + 1), Le(2**63 - 1)]  # the smallest int64 means a missing value
PositiveInt = Annotated[int, Ge(1), Le(MAX_COUNT)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
ClassName = Annotated[str, BeforeValidator(class_text)]


class FeatureKind(NamedTuple):
    """Input and output types of a kind of feature.

    Attributes:
        raw_types: Types that the raw column may have in the schema.
        dtype: Dtype of the transformed feature. Features of int64 are categorical.
        width: Number of values per row in the transformed feature.
    """

    raw_types: tuple[RawType, ...]
    dtype: Literal["float32", "int64"]
    width: int = 1

    @property
    def is_categorical(self) -> bool:
        """Whether its values are indices of categories."""
        return self.dtype == "int64"


FEATURE_KINDS: Mapping[Kind, FeatureKind] = {
    "dense": FeatureKind(("INT", "FLOAT"), "float32"),
    "bucketed": FeatureKind(("INT", "FLOAT"), "int64"),
    "integer": FeatureKind(("INT",), "int64"),
    "vocabulary": FeatureKind(("INT", "BYTES"), "int64"),
    "hashed": FeatureKind(("INT", "BYTES"), "int64"),
    "cyclical": FeatureKind(("INT", "FLOAT"), "float32", width=2),
}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Dense:
    """A number that the network reads directly, scaled over the training split.

    Attributes:
        scale: ``z_score`` (zero mean, unit variance), ``min_max`` (0 to 1) or ``none``.
        log: Take ``sign(x) * log(1 + |x|)`` before scaling, for heavy-tailed columns.
    """

    scale: Literal["z_score", "min_max", "none"] = "z_score"
    log: bool = False


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Bucketed:
    """A number replaced by the index of its quantile over the training split.

    Attributes:
        buckets: Number of quantile buckets.
    """

    buckets: Annotated[int, Ge(2), Le(MAX_BUCKETS)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Integer:
    """An integer in a small known range, such as a month, used as a category.

    Attributes:
        min: Smallest value.
        max: Largest value. All values outside the range share one extra index.
    """

    min: Int64
    max: Int64

    def __post_init__(self) -> None:
        if self.min >= self.max:
            raise ValueError(f"'min' must be below 'max'; found {self.min} and {self.max}")
        if self.max - self.min >= MAX_INTEGER_RANGE:
            raise ValueError(
                f"found a range of more than {MAX_INTEGER_RANGE:,} values; use 'hashed' or 'bucketed' instead"
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Vocabulary:
    """A category replaced by its rank by frequency in the training split.

    Attributes:
        top_k: Keep only this many of the most frequent values. ``None`` keeps all.
        min_frequency: Drop values seen less often than this.
        oov_buckets: Number of hash buckets for values that are not in the vocabulary.
    """

    top_k: PositiveInt | None = None
    min_frequency: PositiveInt = 1
    oov_buckets: Annotated[int, Ge(1), Le(MAX_BUCKETS)] = 1


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Hashed:
    """A category replaced by its hash, for columns with too many values for a vocabulary.

    Attributes:
        buckets: Number of hash buckets.
    """

    buckets: Annotated[int, Ge(2), Le(MAX_BUCKETS)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Cyclical:
    """A periodic number, such as an hour of the day, replaced by the sine and cosine of its angle.

    Attributes:
        period: Length of one period, in the unit of the column.
    """

    period: Annotated[float, Gt(0)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Above:
    """A threshold that turns a number into a binary label: ``column > value`` or ``column > fraction * of``.

    Attributes:
        value: A constant to compare with.
        fraction: Fraction of the column ``of`` to compare with.
        of: The column that ``fraction`` applies to.
    """

    value: float | None = None
    fraction: float | None = None
    of: str | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.fraction is None) or (self.fraction is None) != (self.of is None):
            raise ValueError("expected either 'value', or 'fraction' together with 'of'")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Label:
    """The label that the model learns to predict.

    Attributes:
        name: Name of the transformed label.
        column: Raw column with the true values.
        above: Threshold that turns a number into a binary label.
        classes: Class names by class index. Without ``above`` these are the values of the raw column, as text. For the
            numbers that they stand for, see :func:`models.class_values.numeric_values`.
        log: Learn ``sign(x) * log(1 + |x|)`` of the label of a regression, for a heavy-tailed label.
        scale: How the label of a regression is scaled for the network: ``z_score`` (zero mean, unit variance over the
            train split), or ``none``. ``None`` is ``z_score`` for a regression. Predictions have the unit of the table.
    """

    name: Name
    column: str
    above: Above | None = None
    classes: Annotated[tuple[ClassName, ...], Field(min_length=2)] | None = None
    log: bool = False
    scale: Literal["z_score", "none"] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns that the label is computed from."""
        return (self.column, self.above.of) if self.above and self.above.of else (self.column,)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Features:
    """Features by kind and raw column. One column may be used in several kinds.

    >>> features = Features(dense={"fare": Dense()}, bucketed={"fare": Bucketed(buckets=10)})
    >>> list(features)
    [('dense', 'fare'), ('bucketed', 'fare')]
    >>> features.columns
    ('fare',)
    """

    dense: dict[str, Dense] = Field(default_factory=dict)
    bucketed: dict[str, Bucketed] = Field(default_factory=dict)
    integer: dict[str, Integer] = Field(default_factory=dict)
    vocabulary: dict[str, Vocabulary] = Field(default_factory=dict)
    hashed: dict[str, Hashed] = Field(default_factory=dict)
    cyclical: dict[str, Cyclical] = Field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[Kind, str]]:
        """Yields ``(kind, column)`` of each feature, in the order of :data:`KINDS`."""
        for kind in KINDS:
            for column in getattr(self, kind):
                yield kind, column

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns that the features are computed from, without duplicates."""
        return tuple(dict.fromkeys(column for _, column in self))

    @functools.cached_property
    def tensor_names(self) -> Mapping[str, str]:
        """By column: its name in TensorFlow's graphs. See :mod:`models.tensor_names`."""
        return tensor_names(self.columns)

    @functools.cached_property
    def transformed_names(self) -> Mapping[str, str]:
        """By name in TensorFlow's graphs: the name that people see of each transformed feature, in order.

        >>> Features(dense={"fare": Dense(), "trip miles": Dense()}).transformed_names
        {'fare_dense': 'fare_dense', 'trip_miles_f6a7801d_dense': 'trip miles_dense'}
        """
        return {self.tensor_name(kind, column): transformed_name(kind, column) for kind, column in self}

    def tensor_name(self, kind: Kind, column: str) -> str:
        """Name of the transformed feature of a column in TensorFlow's graphs."""
        return transformed_name(kind, self.tensor_names[column])


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Problem:
    """A learning problem on one table.

    Attributes:
        task: ``binary``, ``multiclass`` or ``regression``.
        label: The value to predict.
        features: The inputs of the prediction.
        weight: Raw column with the weight of each row, or ``None``.
    """

    task: Task
    label: Label
    features: Features
    weight: str | None = None

    def __post_init__(self) -> None:
        if not self.features.columns:
            raise ValueError("features: found none; expected at least one")
        if self.label.column in self.features.columns:
            raise ValueError(
                f"features: found '{self.label.column}', the column of the label; remove it from the features"
            )
        if self.label.above and self.label.above.of == self.label.column:
            raise ValueError(
                f"label.above.of: found '{self.label.column}', the column of the label; expected another one"
            )
        if self.weight in self.label.columns:
            raise ValueError(f"data.weight_column: found '{self.weight}', a column of the label; expected another one")
        self._check_classes()

    def _check_classes(self) -> None:
        classes = self.label.classes
        if self.task == "regression" and (classes or self.label.above):
            raise ValueError("label: found 'classes' or 'above' for a regression; remove them")
        if self.task != "regression" and (self.label.log or self.label.scale):
            raise ValueError(f"label: found 'log' or 'scale' for a {self.task} task; expected them for a regression")
        if self.task == "multiclass" and not classes:
            raise ValueError("label.classes: missing; expected the class names of the multiclass task, in order")
        if self.task == "multiclass" and self.label.above:
            raise ValueError("label.above: found task 'multiclass'; expected 'binary', since a threshold has two sides")
        if self.task == "binary" and classes and len(classes) != 2:
            raise ValueError(f"label.classes: found {len(classes)} names; expected two for a binary task")
        if classes and len(set(classes)) != len(classes):
            raise ValueError("label.classes: found a duplicate name; expected a different name for each class")

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names by class index. Empty for a regression."""
        if self.task == "regression":
            return ()
        return self.label.classes or ("0", "1")

    @functools.cached_property
    def label_tensor(self) -> str:
        """Name of the transformed label in TensorFlow's graphs: its name, unless a feature has it."""
        features = self.features.transformed_names
        return (
            tensor_names([self.label.name], features)[self.label.name]
            if self.label.name in features
            else self.label.name
        )

    @property
    def has_scaled_label(self) -> bool:
        """Whether the network learns another number than the label. See :mod:`models.label_scaling`."""
        return self.task == "regression" and (self.label.log or self.label.scale != "none")

    @property
    def target_tensor(self) -> str:
        """Name of what the network learns: the label, or the label scaled. No feature ends like this."""
        return f"{self.label_tensor}_target" if self.has_scaled_label else self.label_tensor

    @property
    def weight_tensor(self) -> str | None:
        """Name of the weights in TensorFlow's graphs, divided by their mean over the train split."""
        return f"{self.label_tensor}_weight" if self.weight else None

    @property
    def scaling_tensor(self) -> str:
        """Name of the constants of the scaling: mean, standard deviation, smallest and largest value, [N, 4]."""
        return f"{self.label_tensor}_scaling"

    @property
    def transformed_names(self) -> Mapping[str, str]:
        """By name in TensorFlow's graphs: the name that people see of each transformed feature and of the label."""
        return {**self.features.transformed_names, self.label_tensor: self.label.name}

    def to_config(self) -> dict[str, Any]:
        """Returns the record as JSON types, for ``custom_config``."""
        config: dict[str, Any] = _PROBLEM.dump_python(self, mode="json")
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Problem":
        """Reads a record that :meth:`to_config` returned."""
        return _PROBLEM.validate_python(config, strict=False)


_PROBLEM = TypeAdapter(Problem)


def transformed_name(kind: Kind, column: str) -> str:
    """Name of the transformed feature of a column, as people see it. No two features have the same.

    >>> transformed_name("hashed", "company")
    'company_hashed'
    """
    return f"{column}_{kind}"
