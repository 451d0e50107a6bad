"""The table that ExampleGen read: its folder and patterns."""

import dataclasses
import glob
import json
import os
from collections.abc import Mapping
from typing import Any

from artifacts.names import INPUT_BASE, INPUT_CONFIG


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
