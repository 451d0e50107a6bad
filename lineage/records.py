"""Records of what ML Metadata holds: artifacts, executions, events, graphs of these, and runs."""

import dataclasses
import datetime
import functools
from collections.abc import Iterable, Mapping
from typing import Any, Literal

State = Literal["ran", "cached", "failed", "running", "canceled"]
Direction = Literal["input", "output", "reference", "found"]


@dataclasses.dataclass(frozen=True)
class Artifact:
    """An output of a node, stored in a folder.

    Attributes:
        id: Id in ML Metadata.
        type: Type name, such as ``Examples`` or ``Model``.
        uri: The folder.
        created: When the artifact was registered, in UTC.
        properties: Properties of the type and custom properties, by name.
    """

    id: int
    type: str
    uri: str
    created: datetime.datetime
    properties: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Execution:
    """One execution of a node, cached ones included.

    Attributes:
        id: Id in ML Metadata.
        node: Id of the node, such as ``Trainer``.
        pipeline: Name of the pipeline.
        run_id: The run that started it. Later runs that reuse it through ``--from`` are not listed.
        type: Class of the component.
        state: The state. A killed run leaves ``running`` until the next run closes it.
        started: When it started, in UTC.
        finished: When its state last changed, in UTC.
        properties: The node's settings, by name.
    """

    id: int
    node: str
    pipeline: str
    run_id: str
    type: str
    state: State
    started: datetime.datetime
    finished: datetime.datetime
    properties: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        """Wall time."""
        return (self.finished - self.started).total_seconds()


@dataclasses.dataclass(frozen=True)
class Event:
    """An artifact that was an input or an output of an execution.

    Attributes:
        execution_id: The execution.
        artifact_id: The artifact.
        direction: ``input`` or ``output``. ``reference`` is an input that is only compared with, such as the
            Evaluator's baseline. ``found`` is what a resolver selected.
        key: Name of the component's input or output.
        index: Position in the list under that key.
    """

    execution_id: int
    artifact_id: int
    direction: Direction
    key: str
    index: int = 0

    @property
    def order(self) -> tuple[int, str, str, int]:
        """Sort key: by execution, direction, key and position."""
        return (self.execution_id, self.direction, self.key, self.index)


@dataclasses.dataclass(frozen=True)
class LineageGraph:
    """A part of ML Metadata's graph.

    Attributes:
        artifacts: Artifacts by id.
        executions: Executions by id.
        events: Events without duplicates, in the order of executions.
    """

    artifacts: Mapping[int, Artifact]
    executions: Mapping[int, Execution]
    events: tuple[Event, ...]

    def producer(self, artifact_id: int) -> Execution | None:
        """Returns the execution that made an artifact, rather than a cached one that returned it again."""
        event = self._first_output(artifact_id)
        return self.executions[event.execution_id] if event else None

    def name(self, artifact_id: int) -> str:
        """Returns ``<node>.<key>:<id>``, or ``<type>:<id>`` if the producer is not in this graph."""
        event = self._first_output(artifact_id)
        if event is None:
            return f"{self.artifacts[artifact_id].type}:{artifact_id}"
        return f"{self.executions[event.execution_id].node}.{event.key}:{artifact_id}"

    def artifacts_of(self, execution_id: int, direction: Direction, key: str | None = None) -> list[Artifact]:
        """Returns the artifacts of an execution in one direction, in order.

        Args:
            execution_id: The execution.
            direction: The direction of the events.
            key: Name of an input or output. All of them by default.
        """
        events = [
            event
            for event in self._by_execution.get(execution_id, ())
            if event.direction == direction and key in (None, event.key)
        ]
        events.sort(key=lambda event: (event.key, event.index))
        return [self.artifacts[event.artifact_id] for event in events if event.artifact_id in self.artifacts]

    def inputs_of(self, execution_id: int) -> dict[str, list[Artifact]]:
        """Returns the artifacts of an execution by input, with those that it compared with or selected."""
        found: dict[str, list[Artifact]] = {}
        for event in self._by_execution.get(execution_id, ()):
            if event.direction != "output":
                found.setdefault(event.key, []).append(self.artifacts[event.artifact_id])
        return found

    def of_type(self, type_name: str) -> list[Artifact]:
        """Returns the artifacts of a type, oldest first."""
        return sorted((each for each in self.artifacts.values() if each.type == type_name), key=lambda each: each.id)

    def union(self, *others: "LineageGraph") -> "LineageGraph":
        """Returns this graph and others as one."""
        graphs = (self, *others)
        artifacts = {key: artifact for graph in graphs for key, artifact in graph.artifacts.items()}
        executions = {key: execution for graph in graphs for key, execution in graph.executions.items()}
        events = dict.fromkeys(event for graph in graphs for event in graph.events)
        ordered = tuple(sorted(events, key=lambda event: event.order))
        return LineageGraph(artifacts, dict(sorted(executions.items())), ordered)

    def _first_output(self, artifact_id: int) -> Event | None:
        events = [event for event in self._by_artifact.get(artifact_id, ()) if event.direction == "output"]
        return min(events, key=lambda event: event.execution_id) if events else None

    @functools.cached_property
    def _by_artifact(self) -> dict[int, list[Event]]:
        return _grouped((event.artifact_id, event) for event in self.events)

    @functools.cached_property
    def _by_execution(self) -> dict[int, list[Event]]:
        return _grouped((event.execution_id, event) for event in self.events)


@dataclasses.dataclass(frozen=True)
class Origin:
    """Code, settings and environment that a run started from.

    Attributes:
        commit: Git commit of the checkout, or ``None`` without Git.
        dirty: Whether tracked files differ from the commit, or ``None`` without Git.
        lock: SHA-256 of ``requirements.lock``, or ``None`` if there is no such file.
        command: The command line.
        settings: All settings in effect, with passwords removed.
        user: Name of the user.
        host: Name of the machine.
        pid: Id of the process.
        python: Python version.
        versions: Package versions by name.
    """

    commit: str | None
    dirty: bool | None
    lock: str | None
    command: str
    settings: Mapping[str, Any]
    user: str
    host: str
    pid: int
    python: str
    versions: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One run, as recorded in ML Metadata.

    Attributes:
        run_id: Name of the run.
        context_id: Id of its context in ML Metadata.
        pipeline: Name of the pipeline. ``None``, like ``seconds`` and ``origin``, for a run of an early version of
            this project.
        status: The status in ``summary.json``, or ``running``, ``interrupted`` for a killed run, ``unfinished`` for a
            run on another machine that may be either, or ``unknown``.
        started: When it started, in UTC.
        seconds: Wall time, or ``None`` while the run is not finished.
        version: The pushed version, or ``None`` if nothing was pushed.
        metrics: Metrics of the candidate on the eval split, overall slice.
        error: Why the run failed, in one line.
        origin: What the run started from.
    """

    run_id: str
    context_id: int
    pipeline: str | None
    status: str
    started: datetime.datetime
    seconds: float | None
    version: str | None
    metrics: Mapping[str, float]
    error: str | None
    origin: Origin | None


def _grouped(pairs: Iterable[tuple[int, Event]]) -> dict[int, list[Event]]:
    groups: dict[int, list[Event]] = {}
    for key, event in pairs:
        groups.setdefault(key, []).append(event)
    return groups
