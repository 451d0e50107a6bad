"""What a benchmark prints: its measurements, and which of its promises they keep."""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from rich.console import Console
from rich.table import Table


@dataclasses.dataclass(frozen=True)
class Promise:
    """A measured number, most often a ratio, and what it has to be.

    Attributes:
        what: What was measured, or what is divided by what.
        value: As measured.
        bound: At most this, or at least.
        at_most: Which of the two.
    """

    what: str
    value: float
    bound: float
    at_most: bool = False

    @property
    def kept(self) -> bool:
        """Whether the number is within its bound; one that is none is not."""
        return self.value <= self.bound if self.at_most else self.value >= self.bound


def show(title: str, lines: Mapping[str, str]) -> None:
    """Prints measurements by name."""
    table = Table(title, "")
    for name, text in lines.items():
        table.add_row(name, text)
    Console().print(table)


def conclude(promises: Sequence[Promise]) -> NoReturn:
    """Prints the promises and ends the program, with 1 if one is missed."""
    table = Table("what", "measured", "promised", "")
    for promise in promises:
        bound = f"{'at most' if promise.at_most else 'at least'} {promise.bound:g}"
        table.add_row(promise.what, f"{promise.value:.3g}", bound, "kept" if promise.kept else "missed")
    Console().print(table)
    sys.exit(0 if all(promise.kept for promise in promises) else 1)
