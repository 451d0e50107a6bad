"""What the benchmark of whole runs measures, as its JSON has it."""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

Item = TypeVar("Item")
Contestant = Literal["template", "onegraph", "loop"]


@dataclasses.dataclass(frozen=True)
class Run:
    """One whole run.

    Attributes:
        seconds: Wall time of the command, imports and all.
        cpu: Seconds of all cores together.
        peak: Most resident memory of its processes together, in bytes.
        nodes: Wall seconds by node.
        quality: ``auc`` and ``accuracy`` on its eval split; the template's has ``majority`` too, the accuracy of
            always giving the more frequent class.
    """

    seconds: float
    cpu: float
    peak: int
    nodes: Mapping[str, float]
    quality: Mapping[str, float]

    @property
    def in_nodes(self) -> float:
        """Seconds of all nodes, added up, whether they ran side by side or not."""
        return sum(self.nodes.values())


@dataclasses.dataclass(frozen=True)
class Ingested:
    """What the table took to become tf.Examples.

    Attributes:
        seconds: Wall time without imports.
        peak: Most memory that the process ever had, in bytes, imports included.
        imported: What it had before it began.
    """

    seconds: float
    peak: int
    imported: int


@dataclasses.dataclass(frozen=True)
class Size:
    """All rounds on one table.

    Attributes:
        copies: How often each row of the sample is there.
        rows: Rows of the table.
        template: Runs of TFX's taxi template.
        onegraph: Runs of this pipeline.
        rerun: The same commands again, with nothing changed.
        ingest: ExampleGen alone, by contestant.
    """

    copies: int
    rows: int
    template: list[Run] = dataclasses.field(default_factory=list)
    onegraph: list[Run] = dataclasses.field(default_factory=list)
    rerun: list[Run] = dataclasses.field(default_factory=list)
    ingest: dict[Contestant, list[Ingested]] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """The number of rows, to be read."""
        return f"{self.rows:,} rows"


@dataclasses.dataclass(frozen=True)
class Starts:
    """Seconds from the start of a process, one a round.

    Attributes:
        help: ``local_runner.py --help``, to its end.
        tfx: ``from tfx import v1``, to its end.
        first_node: ``local_runner.py``, until its first node starts.
    """

    help: list[float] = dataclasses.field(default_factory=list)
    tfx: list[float] = dataclasses.field(default_factory=list)
    first_node: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Measured:
    """All that a benchmark measured.

    Attributes:
        machine: Where and with what, by name.
        starts: Start-up; ``None`` if it was left out.
        sizes: Tables, small to large.
    """

    machine: Mapping[str, Any]
    starts: Starts | None
    sizes: Sequence[Size]


def median(items: Sequence[Item], key: Callable[[Item], float]) -> float:
    """Median over the rounds."""
    return statistics.median(map(key, items))
