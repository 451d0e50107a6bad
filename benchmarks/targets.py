"""Prints the measurements of a benchmark and checks them against its targets."""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from rich.console import Console
from rich.table import Table


@dataclasses.dataclass(frozen=True)
class Target:
    """A measured value, usually a ratio, and its bound.

    Attributes:
        name: Name of the measurement, or of the ratio as "numerator / denominator".
        value: The measured value.
        bound: The upper or lower bound.
        at_most: Whether ``bound`` is an upper bound.
    """

    name: str
    value: float
    bound: float
    at_most: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the value is within its bound, which NaN never is."""
        return self.value <= self.bound if self.at_most else self.value >= self.bound


def print_table(title: str, rows: Mapping[str, str]) -> None:
    """Prints measurements by name."""
    table = Table(title, "")
    for name, text in rows.items():
        table.add_row(name, text)
    Console().print(table)


def report_targets(targets: Sequence[Target]) -> NoReturn:
    """Prints the targets and ends the program, with exit code 1 if one is missed."""
    table = Table("measurement", "measured", "target", "")
    for target in targets:
        bound = f"{'at most' if target.at_most else 'at least'} {target.bound:g}"
        table.add_row(target.name, f"{target.value:.3g}", bound, "met" if target.is_met else "missed")
    Console().print(table)
    sys.exit(0 if all(target.is_met for target in targets) else 1)
