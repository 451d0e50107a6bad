"""Where a page's facts come from: one run in ML Metadata, its artifacts' files, and its ``summary.json``."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lineage.graph.run_nodes import NodeRun, read_run_nodes
from lineage.queries.find_run import find_run
from lineage.records import Artifact, Execution, LineageGraph, RunRecord
from lineage.store.messages import json_object
from lineage.store.reader import MetadataReader

SUMMARY = "summary.json"
DONE = ("ran", "cached")


class MissingError(ValueError):
    """A section has nothing to show; the message says why."""


@dataclasses.dataclass(frozen=True)
class Source:
    """One run.

    Attributes:
        run: As ML Metadata has it.
        nodes_run: By node, its execution in this run, and the one that made what that gave out.
        lineage: Those executions and their artifacts.
        summary: ``summary.json``; empty for a run that was killed before it could write one.
        folder: ``runs/<run id>``.
    """

    run: RunRecord
    nodes_run: Mapping[str, NodeRun]
    lineage: LineageGraph
    summary: Mapping[str, Any]
    folder: Path

    def execution(self, node: str) -> Execution | None:
        """The execution of a node, if it finished."""
        found = self.nodes_run.get(node)
        return found.execution if found and found.execution.state in DONE else None

    def artifact(self, node: str, key: str) -> Artifact:
        """What a node gave under ``key``.

        Raises:
            MissingError: It did not finish in this run.
        """
        execution = self.execution(node)
        found = self.lineage.artifacts_of(execution.id, "output", key) if execution else []
        if not found:
            raise MissingError(f"{node} {self._why(node)}")
        return found[0]

    def path(self, node: str, key: str) -> Path:
        """The folder of :meth:`artifact`.

        Raises:
            MissingError: The node did not finish in this run, or the folder is gone.
        """
        path = Path(self.artifact(node, key).uri)
        if not path.is_dir():
            raise MissingError(f"{path} is not there any more")
        return path

    @property
    def problem(self) -> Mapping[str, Any]:
        """The problem as its settings declare it: as the run recorded them, or else as its nodes were told."""
        if self.run.origin and "label" in self.run.origin.settings:
            return self.run.origin.settings
        for node in ("Transform", "Trainer", "SkewGuard"):
            properties = self.nodes_run[node].made_by.properties if node in self.nodes_run else {}
            told = json_object(properties.get("custom_config")).get("problem", properties.get("problem"))
            if problem := json_object(told):
                return problem
        return {}

    @property
    def task(self) -> str | None:
        """``binary``, ``multiclass`` or ``regression``; ``None`` where no node was told yet."""
        return self.problem.get("task")

    @functools.cached_property
    def nodes(self) -> Sequence[Mapping[str, Any]]:
        """How each node went; for a run that was killed, what ML Metadata knows of it."""
        if self.summary.get("nodes"):
            found: Sequence[Mapping[str, Any]] = self.summary["nodes"]
            return found
        executions = {node: each.execution for node, each in self.nodes_run.items()}
        return [{"id": node, "state": each.state, "seconds": each.seconds} for node, each in executions.items()]

    def _why(self, node: str) -> str:
        states = {each["id"]: each["state"] for each in self.nodes}
        match states.get(node):
            case "failed":
                return "failed in this run"
            case "skipped":
                return "was skipped in this run"
            case None:
                return "is no node of this run"
            case _:
                return "did not finish in this run"


def read_source(reader: MetadataReader, output: Path, name: str) -> Source:
    """The run of a name, as :func:`lineage.queries.find_run.find_run` takes it.

    Raises:
        lineage.errors.LineageError: There is no such run.
    """
    run = find_run(reader, name)
    folder = output / "runs" / run.run_id
    summary = folder / SUMMARY
    text = summary.read_text(encoding="utf-8") if summary.exists() else "{}"
    nodes, graph = read_run_nodes(reader, run)
    return Source(run, nodes, graph, json_object(text), folder)
