"""The table that ExampleGen read: its folder, patterns and fingerprint."""

import dataclasses
import glob
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from artifacts.names import INPUT_BASE, INPUT_CONFIG

_FINGERPRINT = re.compile(r"num_files:(\d+),total_bytes:(\d+),xor_checksum:(\d+),sum_checksum:(\d+)")


@dataclasses.dataclass(frozen=True)
class DataSource:
    """The input of ExampleGen.

    Attributes:
        base: The input folder, or empty for a query.
        patterns: File patterns in that folder, or queries.
    """

    base: str
    patterns: tuple[str, ...]

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> "DataSource":
        """Reads the properties of an execution of ExampleGen."""
        config = json.loads(properties.get(INPUT_CONFIG) or "{}")
        patterns = tuple(split.get("pattern", "") for split in config.get("splits", ()))
        return cls(properties.get(INPUT_BASE) or "", patterns)

    def __str__(self) -> str:
        return ", ".join(os.path.join(self.base, pattern) for pattern in self.patterns) or self.base

    def files(self) -> list[str]:
        """Returns the files that match now, sorted, or none for a query."""
        patterns = self.patterns if self.base else ()
        return sorted(path for pattern in patterns for path in glob.glob(os.path.join(self.base, pattern)))


def matches_fingerprint(files: Sequence[str], fingerprint: str) -> bool | None:
    """Compares the number, sizes and modification times of files with TFX's fingerprint of them.

    TFX sums and XORs the times in whole seconds. See ``tfx.utils.io_utils.generate_fingerprint``.

    Returns:
        ``None`` if the fingerprint is of another kind.
    """
    found = _FINGERPRINT.findall(fingerprint)
    if len(found) != 1:
        return None
    xor = total = size = 0
    for path in files:
        status = os.stat(path)
        seconds = int(status.st_mtime_ns / 1_000_000_000)
        xor, total, size = xor ^ seconds, total + seconds, size + status.st_size
    return tuple(map(int, found[0])) == (len(files), size, xor, total)
