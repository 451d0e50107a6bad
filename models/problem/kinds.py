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
MAX_WORDS = 10_000
WEIGHTS = "_weights"  # follows the name of a feature in that of its weights. No kind has this name.

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
    "text",
    "tags",
    "numbers",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
RawType = Literal["INT", "FLOAT", "BYTES"]


class Output(NamedTuple):
    """A tensor of transformed features.

    Attributes:
        dtype: Its dtype. Tensors of int64 are indices of categories.
        width: Number of values per row. Rows with fewer categories are filled up with the index 0.
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
    "text": FeatureKind(("BYTES",), Output("int64")),
    "tags": FeatureKind(("INT", "BYTES"), Output("int64")),
    "numbers": FeatureKind(("INT", "FLOAT", "BYTES"), Output("float32", width=4)),
}


class FeatureSettings:
    """What the settings of all kinds have in common."""

    @property
    def list_length(self) -> int | None:
        """Number of values per row that are read, if the raw column has lists, else ``None``."""
        return None

    @property
    def not_on_devices(self) -> str:
        """What TFLite's builtin operators cannot do for the feature. Empty if they can do everything."""
        return ""

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


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Text(FeatureSettings):
    """Free text replaced by its words, and the pairs of words that follow each other.

    Attributes:
        max_words: Number of words that are read from the start of each text.
        ngrams: 1 for words, 2 for words and pairs of neighboring words.
        top_k: Keep only this many of the words that are in the most texts. ``None`` keeps all.
        min_frequency: Drop words that are in fewer texts than this.
        buckets: Number of hash buckets, instead of a vocabulary.
        weights: ``uniform``, or ``tf_idf``, with which rare words count more than frequent ones.
    """

    max_words: Annotated[int, Ge(1), Le(MAX_WORDS)] = 100
    ngrams: Literal[1, 2] = 1
    top_k: PositiveInt | None = None
    min_frequency: PositiveInt = 1
    buckets: Annotated[int, Ge(2), Le(MAX_BUCKETS)] | None = None
    weights: Literal["uniform", "tf_idf"] = "uniform"

    def __post_init__(self) -> None:
        _check_one_index(self.buckets, self.top_k, self.min_frequency)
        if self.buckets and self.weights == "tf_idf":
            raise ValueError("found both 'buckets' and weights 'tf_idf', which are counted by word; remove one of them")

    @property
    def width(self) -> int:
        """Number of words and pairs of words per row."""
        return self.max_words if self.ngrams == 1 else 2 * self.max_words - 1

    @property
    def not_on_devices(self) -> str:
        """TFLite cannot split text."""
        return "split text into words"

    def outputs(self, kind: FeatureKind) -> Mapping[str, Output]:
        """The indices of the words, and their weights unless these are uniform."""
        found = {"": kind.output._replace(width=self.width)}
        return found if self.weights == "uniform" else found | {WEIGHTS: Output("float32", self.width)}


class ListSettings(FeatureSettings):
    """What kinds with several values per row have in common. See :class:`Tags`."""

    separator: str | None
    max_length: int
    cut: bool

    @property
    def list_length(self) -> int | None:
        """As many values as the settings allow, unless the values are in one text."""
        return None if self.separator else self.max_length


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Tags(ListSettings):
    """Several categories per row, such as ``Action|Comedy``, each replaced by its rank by frequency or its hash.

    Attributes:
        max_length: Maximum number of values per row.
        separator: What separates the values of a text. ``None`` for a column of lists.
        cut: Whether to read only the first values of longer lists. Otherwise, the run stops before training.
        top_k: Keep only this many of the values that are in the most rows. ``None`` keeps all.
        min_frequency: Drop values that are in fewer rows than this.
        oov_buckets: Number of hash buckets for values that are not in the vocabulary.
        buckets: Number of hash buckets, instead of a vocabulary.
    """

    max_length: Annotated[int, Ge(1), Le(MAX_WORDS)]
    separator: Annotated[str, Field(min_length=1)] | None = None
    cut: bool = False
    top_k: PositiveInt | None = None
    min_frequency: PositiveInt = 1
    oov_buckets: Annotated[int, Ge(1), Le(MAX_BUCKETS)] = 1
    buckets: Annotated[int, Ge(2), Le(MAX_BUCKETS)] | None = None

    def __post_init__(self) -> None:
        _check_one_index(self.buckets, self.top_k, self.min_frequency)

    @property
    def not_on_devices(self) -> str:
        """TFLite cannot compare lists of strings."""
        return "look up several words per row"

    def outputs(self, kind: FeatureKind) -> Mapping[str, Output]:
        """The indices of the values."""
        return {"": kind.output._replace(width=self.max_length)}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Numbers(ListSettings):
    """Several numbers per row, replaced by how many there are, their mean, the smallest and the largest.

    Attributes:
        max_length: As in :class:`Tags`.
        separator: As in :class:`Tags`.
        cut: As in :class:`Tags`.
    """

    max_length: Annotated[int, Ge(1), Le(MAX_WORDS)]
    separator: Annotated[str, Field(min_length=1)] | None = None
    cut: bool = False

    @property
    def not_on_devices(self) -> str:
        """TFLite can reduce numbers, but not read them from text."""
        return "split text into numbers" if self.separator else ""


def _check_one_index(buckets: int | None, top_k: int | None, min_frequency: int) -> None:
    if buckets and (top_k or min_frequency > 1):
        found = "top_k" if top_k else "min_frequency"
        raise ValueError(f"found both 'buckets' and '{found}'; expected hash buckets or a vocabulary")
