"""How the columns of a cross become a category.

A column that has buckets enters a cross by its bucket. In a hashed cross, any other column enters by its value. In an
exact cross, it enters by its index in another categorical feature of the column, so the size of the cross is known
before any data is read. A missing value is a value like any other. The index is 0 only if all values are missing.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from models.problem.categories import Crossed, Hashed, Integer, Vocabulary
from models.problem.kinds import FeatureSettings, Kind
from models.problem.numbers import Bucketed

MAX_EXACT = 100_000  # combinations without hash buckets
# The kinds whose index can stand for a value, the preferred one first.
INDEXED: tuple[Kind, ...] = ("bucketed", "integer", "vocabulary", "hashed")


class Part(NamedTuple):
    """A column of a cross.

    Attributes:
        column: Its name.
        kind: The kind of feature whose index stands for its value, or ``None`` for the value itself.
        size: Number of indices of that feature in an exact cross, else 0.
    """

    column: str
    kind: Kind | None
    size: int


class Cross(NamedTuple):
    """A cross whose columns have been looked up among the other features.

    Attributes:
        parts: Its columns.
        buckets: Number of hash buckets, or ``None`` for an exact cross.
    """

    parts: tuple[Part, ...]
    buckets: int | None

    @property
    def size(self) -> int:
        """Number of indices, including 0 for a row in which all values are missing."""
        return math.prod(part.size for part in self.parts) if self.buckets is None else self.buckets + 1


def cross_of(spec: Crossed, indexed: Mapping[Kind, Mapping[str, FeatureSettings]]) -> Cross:
    """Finds what stands for the value of each column.

    Args:
        spec: The settings of the cross.
        indexed: The other features, by the kinds of :data:`INDEXED` and column.

    Raises:
        ValueError: An exact cross has a column without an index or of unknown size, or too many combinations.
    """
    cross = Cross(tuple(_part(column, spec, indexed) for column in spec.columns), spec.buckets)
    if spec.buckets is None and cross.size > MAX_EXACT:
        sizes = " x ".join(f"{part.size:,}" for part in cross.parts)
        raise ValueError(
            f"found {sizes} = {cross.size:,} combinations; expected at most {MAX_EXACT:,}: hash them with 'buckets', "
            "such as 10000"
        )
    return cross


def _part(column: str, spec: Crossed, indexed: Mapping[Kind, Mapping[str, FeatureSettings]]) -> Part:
    if spec.buckets is not None:
        return Part(column, "bucketed" if column in indexed["bucketed"] else None, 0)
    for kind in INDEXED:
        if column in indexed[kind]:
            return Part(column, kind, _size(column, indexed[kind][column]))
    raise ValueError(
        f"found '{column}', which has no categorical feature; add it to {', '.join(INDEXED[:-1])} or {INDEXED[-1]}, "
        "or hash the combinations with 'buckets'"
    )


def _size(column: str, spec: FeatureSettings) -> int:
    match spec:
        case Bucketed() | Hashed():
            return spec.buckets + 1
        case Integer():
            return spec.max - spec.min + 3
        case Vocabulary(top_k=int(top_k)):
            return top_k + spec.oov_buckets + 1
    raise ValueError(
        f"found the vocabulary of '{column}', whose size is not known before a run; set its 'top_k', or hash the "
        "combinations with 'buckets'"
    )
