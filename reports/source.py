"""Where a page's facts come from: one run in ML Metadata, its artifacts' files, and its ``summary.json``."""

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_metadata import metadata_store

from lineage.graph import of_run
from lineage.records import Artifact, Execution, Lineage, Run
from lineage.runs import find_run

SUMMARY = "summary.json"
DONE = ("ran", "cached")


class MissingError(ValueError):
    """A section has nothing to show; the message says why."""


@dataclasses.dataclass(frozen=True)
class Source:
    """One run.

    Attributes:
        run: As ML Metadata has it.
        lineage: Its executions and artifacts.
        summary: ``summary.json``; empty for a run that was killed before it could write one.
        folder: ``runs/<run id>``.
    """

    run: Run
    lineage: Lineage
    summary: Mapping[str, Any]
    folder: Path

    def execution(self, node: str) -> Execution | None:
        """The newest execution of a node that finished."""
        return next((each for each in reversed(self.lineage.of_node(node)) if each.state in DONE), None)

    def artifact(self, node: str, key: str) -> Artifact:
        """What a node gave under ``key``.

        Raises:
            MissingError: It did not finish in this run.
        """
        execution = self.execution(node)
        found = self.lineage.linked(execution.id, "output", key) if execution else []
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
        if self.run.origin:
            return self.run.origin.settings
        for node in ("Transform", "Trainer", "SkewGuard"):
            for execution in reversed(self.lineage.of_node(node)):
                settings = parsed(execution.properties.get("custom_config"))
                problem = parsed(settings.get("problem")) or parsed(execution.properties.get("problem"))
                if problem:
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
        executions = {each.node: each for each in sorted(self.lineage.executions.values(), key=lambda each: each.id)}
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


def read_source(store: metadata_store.MetadataStore, output: Path, name: str) -> Source:
    """The run of a name, as :func:`lineage.runs.find_run` takes it.

    Raises:
        lineage.errors.LineageError: There is no such run.
    """
    run = find_run(store, name)
    folder = output / "runs" / run.run_id
    summary = folder / SUMMARY
    text = summary.read_text(encoding="utf-8") if summary.exists() else "{}"
    return Source(run, of_run(store, run.context_id), json.loads(text), folder)


def parsed(value: Any) -> dict[str, Any]:
    """A mapping, or the JSON of one; empty for anything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}
