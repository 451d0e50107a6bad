"""How strongly columns are associated, from a sample of the transformed training rows."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from models.problem.features import Features
from models.training.memory_table import MemoryTable

MAX_ROWS = 10_000
MAX_PARTS = 8  # of a feature with several numbers
MAX_CATEGORIES = 30  # the others of a column are one more
BINS = 10  # of a number that is compared with a category
CORRELATED = 0.8  # of all pairs in a group

Numbers = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


class Associations:
    """Associations of columns, from 0 (none) to 1 (one determines the other).

    That of two columns is the largest one among their features. For two numbers, or quantile buckets, it is the
    absolute value of Spearman's rank correlation. If one is a category, it is Cramér's V with Bergsma's correction for
    bias (Journal of the Korean Statistical Society 42, 2013), in which numbers are replaced by the index of their
    decile.
    """

    def __init__(self, features: Features, table: MemoryTable) -> None:
        """Reads a sample of the rows.

        Args:
            features: The features. Those of several columns belong to none.
            table: The transformed training rows.
        """
        step = -(-table.rows // MAX_ROWS)
        self._ranks: dict[str, list[Numbers]] = {}
        self._codes: dict[str, list[Codes]] = {}
        ordered = {features.tensor_name(*each) for each in features if each[0] == "bucketed"}
        for name, columns in features.origins.items():
            if len(columns) > 1:
                continue
            values = table.column(name).numpy()[::step, :MAX_PARTS].astype(np.float64)
            is_number = features.outputs[name].dtype != "int64" or name in ordered
            for part in values.T:
                if part.min() == part.max():
                    continue
                if is_number:
                    self._ranks.setdefault(columns[0], []).append(_normalized_ranks(part))
                self._codes.setdefault(columns[0], []).append(_deciles(part) if is_number else _most_frequent(part))
        self._known: dict[tuple[str, str], float] = {}

    def between(self, first: str, second: str) -> float:
        """The association of two columns."""
        key = (first, second) if first <= second else (second, first)
        if key not in self._known:
            self._known[key] = self._compute(*key)
        return self._known[key]

    def closest(self, column: str, others: Sequence[str]) -> tuple[str, float] | None:
        """The column that is most associated with one, and how strongly. ``None`` if there is no other."""
        found = [(self.between(column, other), other) for other in others if other != column]
        strength, other = max(found, default=(0.0, ""))
        return (other, strength) if other else None

    def groups(self, columns: Sequence[str]) -> list[tuple[str, ...]]:
        """Groups of two or more columns in which each pair is correlated: complete linkage, cut at CORRELATED."""
        if len(columns) < 2:
            return []
        distances = np.zeros((len(columns), len(columns)))
        for (row, first), (column, second) in itertools.combinations(enumerate(columns), 2):
            distances[row, column] = distances[column, row] = 1 - self.between(first, second)
        tree = hierarchy.linkage(squareform(distances), method="complete")
        labels = hierarchy.fcluster(tree, 1 - CORRELATED, criterion="distance")
        members = [tuple(name for name, each in zip(columns, labels, strict=True) if each == label) for label in labels]
        return [group for group in dict.fromkeys(members) if len(group) > 1]

    def _compute(self, first: str, second: str) -> float:
        ranks = itertools.product(self._ranks.get(first, ()), self._ranks.get(second, ()))
        found = [abs(float(one @ other)) for one, other in ranks]
        if not found:
            codes = itertools.product(self._codes.get(first, ()), self._codes.get(second, ()))
            found = [cramers_v(one, other) for one, other in codes]
        return min(max(found, default=0.0), 1.0)


def cramers_v(first: Codes, second: Codes) -> float:
    """Cramér's V of two columns of small codes, corrected for bias. 0 if there is nothing to compare.

    >>> codes = np.tile([0, 1, 2], 100)
    >>> round(cramers_v(codes, codes), 3), cramers_v(codes, np.zeros(300, np.int64))
    (1.0, 0.0)
    """
    rows = len(first)
    table = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(table, (first, second), 1)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    height, width = table.shape
    if min(height, width) < 2 or rows < 2:
        return 0.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / rows
    square = float(((table - expected) ** 2 / expected).sum()) / rows
    corrected = max(0.0, square - (height - 1) * (width - 1) / (rows - 1))
    sizes = [each - (each - 1) ** 2 / (rows - 1) for each in (height, width)]
    return float(np.sqrt(corrected / max(min(sizes) - 1, 1e-9)))


def _normalized_ranks(values: Numbers) -> Numbers:
    """Ranks with mean 0 and norm 1. Equal numbers have the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2)[places]
    ranks -= ranks.mean()
    return np.asarray(ranks / np.linalg.norm(ranks))


def _deciles(values: Numbers) -> Codes:
    bounds = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.searchsorted(bounds, values, side="left").astype(np.int64)


def _most_frequent(values: Numbers) -> Codes:
    """The most frequent values as 0, 1, …, and all others as one more."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    codes = np.empty(len(counts), np.int64)
    codes[order] = np.minimum(np.arange(len(counts)), MAX_CATEGORIES)
    return codes[places]


def named_groups(
    groups: Mapping[str, Sequence[str]], correlated: Sequence[Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """Names the correlated groups that are not declared. Names are the columns, with ``+`` between them.

    >>> named_groups({"place": ["city", "zip"]}, [("zip", "city"), ("fare", "miles")])
    {'fare + miles': ('fare', 'miles')}
    """
    declared = {frozenset(columns) for columns in groups.values()}
    return {" + ".join(group): tuple(group) for group in correlated if frozenset(group) not in declared}
