"""The sources of a run's page: ML Metadata, the artifacts' files and ``summary.json``."""

import contextlib
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from artifacts.files import UNREADABLE
from artifacts.names import SUMMARY_FILE
from artifacts.nodes.metrics import Metrics, read_metrics
from artifacts.summary import RunSummary, read_summary
from lineage.graph.run_nodes import NodeRun, read_run_nodes
from lineage.queries.find_run import find_run
from lineage.records import Artifact, Execution, LineageGraph, RunRecord
from lineage.store.messages import json_object
from lineage.store.reader import MetadataReader

FINISHED = ("ran", "cached")


class MissingError(ValueError):
    """A section has nothing to show. The message says why."""


@dataclasses.dataclass(frozen=True)
class Step:
    """One node of the run.

    Attributes:
        name: Name of the node.
        state: ``ran``, ``cached``, ``skipped`` or ``failed``, and for a killed run also ``running``.
        seconds: Wall time.
        upstream: Names of the nodes that have to finish first, or empty if the run did not record them.
    """

    name: str
    state: str
    seconds: float
    upstream: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Source:
    """One run.

    Attributes:
        run: The run as recorded in ML Metadata.
        nodes_run: By node, its execution in this run and the execution that made its outputs.
        lineage: These executions and their artifacts.
        summary: ``summary.json``, or ``None`` if it is missing, as for a killed run, or damaged.
        folder: ``runs/<run id>``.
    """

    run: RunRecord
    nodes_run: Mapping[str, NodeRun]
    lineage: LineageGraph
    summary: RunSummary | None
    folder: Path

    def execution(self, node: str) -> Execution | None:
        """Returns the execution of a node, if it finished."""
        found = self.nodes_run.get(node)
        return found.execution if found and found.execution.state in FINISHED else None

    def artifact(self, node: str, key: str) -> Artifact:
        """Returns an output of a node.

        Raises:
            MissingError: The node did not finish in this run.
        """
        execution = self.execution(node)
        found = self.lineage.artifacts_of(execution.id, "output", key) if execution else []
        if not found:
            raise MissingError(f"{node} {self._why_missing(node)}")
        return found[0]

    def path(self, node: str, key: str) -> Path:
        """Returns the folder of an output of a node.

        Raises:
            MissingError: The node did not finish in this run, or the folder no longer exists.
        """
        path = Path(self.artifact(node, key).uri)
        if not path.is_dir():
            raise MissingError(f"{path} no longer exists")
        return path

    @property
    def problem(self) -> Mapping[str, Any]:
        """The problem's settings as recorded by the run, or else as passed to its nodes."""
        if self.run.origin and "label" in self.run.origin.settings:
            return self.run.origin.settings
        for node in ("Transform", "Trainer", "SkewGuard"):
            properties = self.nodes_run[node].producer.properties if node in self.nodes_run else {}
            given = json_object(properties.get("custom_config")).get("problem", properties.get("problem"))
            if problem := json_object(given):
                return problem
        return {}

    @functools.cached_property
    def steps(self) -> Sequence[Step]:
        """The nodes of the run, or those in ML Metadata for a killed run."""
        if self.summary and self.summary.nodes:
            return [Step(each.id, each.state, each.seconds, each.upstream) for each in self.summary.nodes]
        executions = {node: each.execution for node, each in self.nodes_run.items()}
        return [Step(node, each.state, each.seconds) for node, each in executions.items()]

    @functools.cached_property
    def metrics(self) -> Metrics:
        """The Evaluator's metrics, which several sections show.

        Raises:
            MissingError: The Evaluator did not finish in this run, or its folder no longer exists.
        """
        return read_metrics(self.path("Evaluator", "evaluation"))

    def _why_missing(self, node: str) -> str:
        states = {each.name: each.state for each in self.steps}
        match states.get(node):
            case "failed":
                return "failed in this run"
            case "skipped":
                return "was skipped in this run"
            case None:
                return "is not a node of this run"
            case _:
                return "did not finish in this run"


def read_source(reader: MetadataReader, output: Path, name: str) -> Source:
    """Reads the sources of a run.

    Args:
        reader: ML Metadata.
        output: The output folder.
        name: A name of the run, as in :func:`lineage.queries.find_run.find_run`.

    Raises:
        lineage.errors.LineageError: There is no such run.
    """
    run = find_run(reader, name)
    folder = output / "runs" / run.run_id
    summary = None
    with contextlib.suppress(*UNREADABLE):
        summary = read_summary(folder / SUMMARY_FILE)
    nodes, graph = read_run_nodes(reader, run)
    return Source(run, nodes, graph, summary, folder)
