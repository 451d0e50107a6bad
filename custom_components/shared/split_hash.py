"""The seeded hash that decides the split of a row. Imports nothing heavy."""

import bisect
import dataclasses
import hashlib
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Split:
    """How rows are split by a hash.

    Attributes:
        names: Names of the splits.
        bounds: Cumulative weights of the splits.
        seed: Seed of the hash.
        key: Column to hash. ``None`` hashes the complete row.
    """

    names: tuple[str, ...]
    bounds: tuple[int, ...]
    seed: int
    key: str | None

    @property
    def weights(self) -> tuple[int, ...]:
        """Weight of each split."""
        return tuple(end - start for start, end in zip((0, *self.bounds), self.bounds, strict=False))

    def first(self, count: int) -> "Split":
        """The same split with only the first splits."""
        return dataclasses.replace(self, names=self.names[:count], bounds=self.bounds[:count])


def split_of_bytes(hashed: bytes, bounds: Sequence[int], seed: int) -> int:
    """Index of the split for the bytes of a row or of its key's feature.

    >>> [split_of_bytes(row, bounds=[7, 8, 10], seed=0) for row in (b"a", b"b", b"c")]
    [2, 2, 0]
    """
    digest = hashlib.sha256(b"%d:%b" % (seed, hashed)).digest()
    return bisect.bisect(bounds, int.from_bytes(digest) % bounds[-1])
