"""Records of the benchmark of complete runs, as in its JSON file."""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

Item = TypeVar("Item")
Contestant = Literal["template", "onegraph", "loop"]


@dataclasses.dataclass(frozen=True)
class Run:
    """One complete run.

    Attributes:
        seconds: Wall time of the command, including imports.
        cpu: CPU seconds.
        peak: Peak resident memory of all processes in bytes.
        nodes: Wall seconds by node.
        quality: ``auc`` and ``accuracy`` on the eval split. The template's also has ``majority``, the accuracy of
            always predicting the more frequent class.
    """

    seconds: float
    cpu: float
    peak: int
    nodes: Mapping[str, float]
    quality: Mapping[str, float]

    @property
    def in_nodes(self) -> float:
        """Sum of the seconds of all nodes, even if they ran in parallel."""
        return sum(self.nodes.values())


@dataclasses.dataclass(frozen=True)
class IngestRun:
    """One conversion of the table to tf.Examples.

    Attributes:
        seconds: Wall time without imports.
        peak: Peak memory of the process in bytes, including imports.
        imported: Peak memory after the imports in bytes.
    """

    seconds: float
    peak: int
    imported: int


@dataclasses.dataclass(frozen=True)
class Size:
    """All rounds on one table.

    Attributes:
        copies: Copies of each row of the sample.
        rows: Rows of the table.
        template: Runs of TFX's taxi template.
        onegraph: Runs of this pipeline.
        rerun: Unchanged reruns of this pipeline.
        ingest: Runs of ExampleGen alone, by contestant.
    """

    copies: int
    rows: int
    template: list[Run] = dataclasses.field(default_factory=list)
    onegraph: list[Run] = dataclasses.field(default_factory=list)
    rerun: list[Run] = dataclasses.field(default_factory=list)
    ingest: dict[Contestant, list[IngestRun]] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """The number of rows, for display."""
        return f"{self.rows:,} rows"


@dataclasses.dataclass(frozen=True)
class StartTimes:
    """Startup times in seconds, one per round.

    Attributes:
        help: Time of ``local_runner.py --help``.
        tfx: Time of ``from tfx import v1``.
        first_node: Time from the start of ``local_runner.py`` to its first node.
    """

    help: list[float] = dataclasses.field(default_factory=list)
    tfx: list[float] = dataclasses.field(default_factory=list)
    first_node: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Measurements:
    """All measurements of a benchmark.

    Attributes:
        machine: The machine and the versions of the libraries, by name.
        starts: Startup times, or ``None`` if they were skipped.
        sizes: Results by table, in ascending size.
    """

    machine: Mapping[str, Any]
    starts: StartTimes | None
    sizes: Sequence[Size]


def median(items: Sequence[Item], key: Callable[[Item], float]) -> float:
    """Returns the median over the rounds."""
    return statistics.median(map(key, items))
