"""Settings of the kinds of features that are categories."""

from typing import Annotated

from annotated_types import Ge, Le
from pydantic import Field
from pydantic.dataclasses import dataclass

from models.problem.kinds import MAX_BUCKETS, FeatureSettings, check_different
from models.problem.types import STRICT, Int64, PositiveInt

MAX_INTEGER_RANGE = 100_000


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
class Crossed(FeatureSettings):
    """The combination of the values of several columns, as a category. See :mod:`models.problem.crosses`.

    Attributes:
        columns: The columns.
        buckets: Number of hash buckets. ``None`` gives each combination its own index.
    """

    columns: Annotated[tuple[str, ...], Field(min_length=2)]
    buckets: Annotated[int, Ge(2), Le(MAX_BUCKETS)] | None = None

    def __post_init__(self) -> None:
        check_different(*self.columns)

    def raw_columns(self, _name: str, /) -> tuple[str, ...]:
        """The columns that are crossed."""
        return self.columns
