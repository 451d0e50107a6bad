"""The table that ExampleGen read: its folder and patterns."""

import dataclasses
import glob
import json
import os
from collections.abc import Mapping
from typing import Any

from artifacts.names import CUSTOM_CONFIG, INPUT_BASE, INPUT_CONFIG, TEST_PATTERN, TEST_TABLE


@dataclasses.dataclass(frozen=True)
class DataSource:
    """The input of ExampleGen.

    Attributes:
        base: The input folder, or empty for a query.
        patterns: File patterns in that folder, or queries.
        test: The file or folder of the test table, or empty.
        test_pattern: File pattern in that folder.
    """

    base: str
    patterns: tuple[str, ...]
    test: str = ""
    test_pattern: str = "*"

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> "DataSource":
        """Reads the properties of an execution of ExampleGen."""
        config = json.loads(properties.get(INPUT_CONFIG) or "{}")
        patterns = tuple(split.get("pattern", "") for split in config.get("splits", ()))
        options = json.loads(properties.get(CUSTOM_CONFIG) or "{}").get(CUSTOM_CONFIG, {}).get("value", {})
        test, pattern = options.get(TEST_TABLE) or "", options.get(TEST_PATTERN) or "*"
        return cls(properties.get(INPUT_BASE) or "", patterns, test, pattern)

    def __str__(self) -> str:
        table = ", ".join(os.path.join(self.base, pattern) for pattern in self.patterns) or self.base
        return f"{table}, tested on {self.test}" if self.test else table

    def files(self) -> list[str]:
        """Returns the files that match now, sorted, or none for a query."""
        patterns = self.patterns if self.base else ()
        return sorted(path for pattern in patterns for path in glob.glob(os.path.join(self.base, pattern)))

    def test_files(self) -> list[str]:
        """Returns the files of the test table now, sorted, or none if there is no such table."""
        if not self.test:
            return []
        return sorted(glob.glob(os.path.join(self.test, self.test_pattern) if os.path.isdir(self.test) else self.test))
