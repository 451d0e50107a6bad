"""The features of a learning problem."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import Field
from pydantic.dataclasses import dataclass

from models.problem.categories import Crossed, Hashed, Integer, Vocabulary
from models.problem.crosses import INDEXED, Cross, cross_of
from models.problem.dates import Date
from models.problem.kinds import FEATURE_KINDS, KINDS, FeatureSettings, Kind, Output
from models.problem.lists import Numbers, Tags, Text
from models.problem.numbers import Bucketed, Cyclical, Dense, Difference, Missing, Ratio
from models.problem.tensor_names import tensor_names
from models.problem.types import STRICT, Name


class Feature(NamedTuple):
    """A feature by the names that it has in TensorFlow's graphs.

    Attributes:
        name: Name of the transformed feature.
        columns: Names of the raw columns that it is computed from.
        spec: Its settings. Those of a cross are a :class:`models.problem.crosses.Cross`, whose parts have the names of
            the columns, or of the features that stand for them.
    """

    name: str
    columns: tuple[str, ...]
    spec: Any

    @property
    def column(self) -> str:
        """The raw column of a feature that has only one."""
        (column,) = self.columns
        return column


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Features:
    """Features by kind and name. The name of most kinds is the raw column, which may be used in several kinds.

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
    ratio: dict[Name, Ratio] = Field(default_factory=dict)
    difference: dict[Name, Difference] = Field(default_factory=dict)
    missing: dict[str, Missing] = Field(default_factory=dict)
    crossed: dict[Name, Crossed] = Field(default_factory=dict)
    date: dict[str, Date] = Field(default_factory=dict)
    text: dict[str, Text] = Field(default_factory=dict)
    tags: dict[str, Tags] = Field(default_factory=dict)
    numbers: dict[str, Numbers] = Field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[Kind, str]]:
        """Yields ``(kind, name)`` of each feature, in the order of :data:`models.problem.kinds.KINDS`."""
        for kind in KINDS:
            for name in getattr(self, kind):
                yield kind, name

    def spec(self, kind: Kind, name: str) -> FeatureSettings:
        """Settings of a feature."""
        spec: FeatureSettings = getattr(self, kind)[name]
        return spec

    def raw_columns(self, kind: Kind, name: str) -> tuple[str, ...]:
        """The raw columns that a feature is computed from."""
        return self.spec(kind, name).raw_columns(name)

    @functools.cached_property
    def columns(self) -> tuple[str, ...]:
        """The raw columns that the features are computed from, without duplicates."""
        return tuple(dict.fromkeys(column for each in self for column in self.raw_columns(*each)))

    @functools.cached_property
    def list_lengths(self) -> Mapping[str, int]:
        """By raw column with lists: the largest number of values per row that a feature reads."""
        lengths: dict[str, int] = {}
        for kind, name in self:
            if length := self.spec(kind, name).list_length:
                lengths |= {column: max(length, lengths.get(column, 0)) for column in self.raw_columns(kind, name)}
        return lengths

    @functools.cached_property
    def tensor_names(self) -> Mapping[str, str]:
        """By column: its name in TensorFlow's graphs. See :mod:`models.problem.tensor_names`."""
        return {column: self._all_tensor_names[column] for column in self.columns}

    @functools.cached_property
    def _all_tensor_names(self) -> Mapping[str, str]:
        return tensor_names([*self.columns, *(name for _, name in self)])

    @functools.cached_property
    def outputs(self) -> Mapping[str, Output]:
        """By name in TensorFlow's graphs: dtype and width of each transformed feature."""
        return {
            self.tensor_name(*each) + suffix: output
            for each in self
            for suffix, output in self.spec(*each).outputs(FEATURE_KINDS[each[0]]).items()
        }

    @functools.cached_property
    def origins(self) -> Mapping[str, tuple[str, ...]]:
        """By name in TensorFlow's graphs: the raw columns that each transformed feature is computed from.

        >>> Features(dense={"fare": Dense()}, bucketed={"fare": Bucketed(buckets=10)}).origins
        {'fare_dense': ('fare',), 'fare_bucketed': ('fare',)}
        """
        return {
            self.tensor_name(*each) + suffix: self.raw_columns(*each)
            for each in self
            for suffix in self.spec(*each).outputs(FEATURE_KINDS[each[0]])
        }

    @functools.cached_property
    def transformed_names(self) -> Mapping[str, str]:
        """By name in TensorFlow's graphs: the name that people see of each transformed feature, in order.

        >>> Features(dense={"fare": Dense(), "trip miles": Dense()}).transformed_names
        {'fare_dense': 'fare_dense', 'trip_miles_f6a7801d_dense': 'trip miles_dense'}
        """
        return {
            self.tensor_name(*each) + suffix: transformed_name(*each) + suffix
            for each in self
            for suffix in self.spec(*each).outputs(FEATURE_KINDS[each[0]])
        }

    def tensor_name(self, kind: Kind, name: str) -> str:
        """Name of a transformed feature in TensorFlow's graphs."""
        return transformed_name(kind, self._all_tensor_names[name])

    def of_kind(self, kind: Kind) -> list[Feature]:
        """The features of one kind, by their names in TensorFlow's graphs."""
        return [
            Feature(
                self.tensor_name(kind, name),
                tuple(self.tensor_names[each] for each in spec.raw_columns(name)),
                self._cross_in_graph(spec) if isinstance(spec, Crossed) else spec,
            )
            for name, spec in getattr(self, kind).items()
        ]

    def cross(self, spec: Crossed) -> Cross:
        """Looks up the columns of a cross among the other features.

        Raises:
            ValueError: The size of the cross is unknown, or too large. See :func:`models.problem.crosses.cross_of`.
        """
        return cross_of(spec, {kind: getattr(self, kind) for kind in INDEXED})

    def _cross_in_graph(self, spec: Crossed) -> Cross:
        cross = self.cross(spec)
        names = [
            self.tensor_name(part.kind, part.column) if part.kind else self.tensor_names[part.column]
            for part in cross.parts
        ]
        parts = tuple(part._replace(column=name) for part, name in zip(cross.parts, names, strict=True))
        return cross._replace(parts=parts)


def transformed_name(kind: Kind, name: str) -> str:
    """Name of a transformed feature, as people see it. No two features have the same.

    >>> transformed_name("hashed", "company")
    'company_hashed'
    """
    return f"{name}_{kind}"
