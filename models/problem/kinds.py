"""The kinds of features and their settings.

To add a kind of feature:

1. Here: write a record of its settings, and add it to :data:`FEATURE_KINDS`.
2. In :mod:`models.problem.features`: add a field to ``Features``.
3. In :mod:`models.transforms`: write a function that transforms all features of the kind, and add it to ``TRANSFORMS``
   in :mod:`models.transforms.kinds`. If the feature is categorical, add the number of its indices to ``SIZES``.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple, get_args

from annotated_types import Ge, Gt, Le
from pydantic import Field
from pydantic.dataclasses import dataclass

from models.problem.types import STRICT, Int64, PositiveInt

MAX_INTEGER_RANGE = 100_000
MAX_BUCKETS = 10_000_000

Kind = Literal[
    "dense",
    "bucketed",
    "integer",
    "vocabulary",
    "hashed",
    "cyclical",
    "ratio",
    "difference",
    "missing",
    "crossed",
    "date",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
RawType = Literal["INT", "FLOAT", "BYTES"]


class Output(NamedTuple):
    """A tensor of transformed features.

    Attributes:
        dtype: Its dtype. Tensors of int64 are indices of categories.
        width: Number of values per row.
    """

    dtype: Literal["float32", "int64"]
    width: int = 1


class FeatureKind(NamedTuple):
    """Input and output types of a kind of feature.

    Attributes:
        raw_types: Types that the raw column may have in the schema.
        output: The transformed feature, unless its settings say otherwise.
    """

    raw_types: tuple[RawType, ...]
    output: Output

    @property
    def is_categorical(self) -> bool:
        """Whether its values are indices of categories."""
        return self.output.dtype == "int64"


FEATURE_KINDS: Mapping[Kind, FeatureKind] = {
    "dense": FeatureKind(("INT", "FLOAT"), Output("float32")),
    "bucketed": FeatureKind(("INT", "FLOAT"), Output("int64")),
    "integer": FeatureKind(("INT",), Output("int64")),
    "vocabulary": FeatureKind(("INT", "BYTES"), Output("int64")),
    "hashed": FeatureKind(("INT", "BYTES"), Output("int64")),
    "cyclical": FeatureKind(("INT", "FLOAT"), Output("float32", width=2)),
    "ratio": FeatureKind(("INT", "FLOAT"), Output("float32")),
    "difference": FeatureKind(("INT", "FLOAT"), Output("float32")),
    "missing": FeatureKind(("INT", "FLOAT", "BYTES"), Output("float32")),
    "crossed": FeatureKind(("INT", "FLOAT", "BYTES"), Output("int64")),
    "date": FeatureKind(("INT", "BYTES"), Output("float32")),
}


class FeatureSettings:
    """What the settings of all kinds have in common."""

    def raw_columns(self, name: str, /) -> tuple[str, ...]:
        """The raw columns that the feature ``name`` is computed from: the column of that name."""
        return (name,)

    def outputs(self, kind: FeatureKind) -> Mapping[str, Output]:
        """The tensors of a transformed feature, by what follows its name: one without a suffix."""
        return {"": kind.output}

    def type_problem(self, _raw_type: RawType, /) -> str | None:
        """What is wrong with the settings for a raw column of one of the kind's types, or ``None``."""
        return None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ScaledNumber(FeatureSettings):
    """What the settings of all numbers that the network reads directly have in common.

    Attributes:
        scale: ``z_score`` (zero mean, unit variance over the training split), ``min_max`` (0 to 1) or ``none``.
        log: Take ``sign(x) * log(1 + |x|)`` before scaling, for heavy-tailed numbers.
    """

    scale: Literal["z_score", "min_max", "none"] = "z_score"
    log: bool = False


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Dense(ScaledNumber):
    """A number that the network reads directly, scaled."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Bucketed(FeatureSettings):
    """A number replaced by the index of its quantile over the training split.

    Attributes:
        buckets: Number of quantile buckets.
    """

    buckets: Annotated[int, Ge(2), Le(MAX_BUCKETS)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Integer(FeatureSettings):
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
class Vocabulary(FeatureSettings):
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
class Hashed(FeatureSettings):
    """A category replaced by its hash, for columns with too many values for a vocabulary.

    Attributes:
        buckets: Number of hash buckets.
    """

    buckets: Annotated[int, Ge(2), Le(MAX_BUCKETS)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Cyclical(FeatureSettings):
    """A periodic number, such as an hour of the day, replaced by the sine and cosine of its angle.

    Attributes:
        period: Length of one period, in the unit of the column.
    """

    period: Annotated[float, Gt(0)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Ratio(ScaledNumber):
    """One number divided by another, scaled. It is missing if one of them is, or if the quotient is not finite.

    Attributes:
        numerator: Column of the number that is divided.
        denominator: Column of the number that it is divided by.
    """

    numerator: str
    denominator: str

    def __post_init__(self) -> None:
        _check_different(self.numerator, self.denominator)

    def raw_columns(self, _name: str, /) -> tuple[str, ...]:
        """The two columns."""
        return (self.numerator, self.denominator)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Difference(ScaledNumber):
    """One number minus another, scaled. It is missing if one of them is.

    Attributes:
        of: Column of the number to subtract from.
        minus: Column of the number that is subtracted.
    """

    of: str
    minus: str

    def __post_init__(self) -> None:
        _check_different(self.of, self.minus)

    def raw_columns(self, _name: str, /) -> tuple[str, ...]:
        """The two columns."""
        return (self.of, self.minus)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Missing(FeatureSettings):
    """Whether the value of a column is missing: 1 or 0."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Crossed(FeatureSettings):
    """The combination of the values of several columns, as a category. See :mod:`models.problem.crosses`.

    Attributes:
        columns: The columns.
        buckets: Number of hash buckets. ``None`` gives each combination its own index.
    """

    columns: Annotated[tuple[str, ...], Field(min_length=2)]
    buckets: Annotated[int, Ge(2), Le(MAX_BUCKETS)] | None = None

    def __post_init__(self) -> None:
        _check_different(*self.columns)

    def raw_columns(self, _name: str, /) -> tuple[str, ...]:
        """The columns that are crossed."""
        return self.columns


def _check_different(*columns: str) -> None:
    for index, column in enumerate(columns):
        if column in columns[:index]:
            raise ValueError(f"found the column '{column}' twice; expected different columns")
