"""What ML Metadata holds, as plain records."""

import dataclasses
import datetime
import functools
from collections.abc import Iterable, Mapping
from typing import Any, Literal

State = Literal["ran", "cached", "failed", "running", "canceled"]
Direction = Literal["input", "output", "reference", "found"]


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A folder that a node made, and what ML Metadata knows of it.

    Attributes:
        id: In ML Metadata.
        type: Its type, such as ``Examples`` or ``Model``.
        uri: The folder.
        created: When its node had finished it.
        properties: Those of the type and the custom ones.
    """

    id: int
    type: str
    uri: str
    created: datetime.datetime
    properties: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Execution:
    """One time that a node ran, or was answered from the cache.

    Attributes:
        id: In ML Metadata.
        node: The node, such as ``Trainer``.
        pipeline: The pipeline that the node is of.
        run_id: The run that it happened in; runs that took it over by ``--from`` are not told.
        type: The component's class.
        state: ``running`` is also what a killed run leaves behind, until the next one closes it.
        started: When it began.
        finished: When its state last changed.
        properties: The node's settings.
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
class Link:
    """An event: an artifact went into an execution, or came out of it.

    Attributes:
        execution_id: The execution.
        artifact_id: The artifact.
        direction: ``input`` and ``output``; ``reference`` for an input that a judge compares with, such as the
            Evaluator's baseline, of which nothing is made; ``found`` for what a resolver chose.
        key: Name of the component's input or output.
        index: Place in the list under that key.
    """

    execution_id: int
    artifact_id: int
    direction: Direction
    key: str
    index: int = 0


@dataclasses.dataclass(frozen=True)
class Lineage:
    """A part of ML Metadata's graph.

    Attributes:
        artifacts: By id.
        executions: By id.
        links: Each once, in the order of executions.
    """

    artifacts: Mapping[int, Artifact]
    executions: Mapping[int, Execution]
    links: tuple[Link, ...]

    def producer(self, artifact_id: int) -> Execution | None:
        """The execution that made an artifact; cached executions, which give it out again, are not."""
        ids = [link.execution_id for link in self._by_artifact.get(artifact_id, ()) if link.direction == "output"]
        return self.executions[min(ids)] if ids else None

    def name(self, artifact_id: int) -> str:
        """``<node>.<key>:<id>`` of an artifact, by the execution that made it; its type and id if that is not here."""
        links = [link for link in self._by_artifact.get(artifact_id, ()) if link.direction == "output"]
        if not links:
            return f"{self.artifacts[artifact_id].type}:{artifact_id}"
        made = min(links, key=lambda link: link.execution_id)
        return f"{self.executions[made.execution_id].node}.{made.key}:{artifact_id}"

    def linked(self, execution_id: int, direction: Direction, key: str | None = None) -> list[Artifact]:
        """Artifacts of an execution in one direction, in order; with ``key`` those of this name alone."""
        links = [
            link
            for link in self._by_execution.get(execution_id, ())
            if link.direction == direction and key in (None, link.key)
        ]
        links.sort(key=lambda link: (link.key, link.index))
        return [self.artifacts[link.artifact_id] for link in links if link.artifact_id in self.artifacts]

    def of_type(self, kind: str) -> list[Artifact]:
        """Artifacts of a type, oldest first."""
        return sorted((each for each in self.artifacts.values() if each.type == kind), key=lambda each: each.id)

    def of_node(self, node: str) -> list[Execution]:
        """Executions of a node, oldest first."""
        return sorted((each for each in self.executions.values() if each.node == node), key=lambda each: each.id)

    @functools.cached_property
    def _by_artifact(self) -> dict[int, list[Link]]:
        return _grouped((link.artifact_id, link) for link in self.links)

    @functools.cached_property
    def _by_execution(self) -> dict[int, list[Link]]:
        return _grouped((link.execution_id, link) for link in self.links)


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a run was started from.

    Attributes:
        commit: Git commit of the checkout; this and ``dirty`` are ``None`` where there is none.
        dirty: Whether files that Git knows differ from the commit.
        lock: SHA-256 of ``requirements.lock``; ``None`` where there is none.
        command: The command line.
        settings: All settings in effect.
        user: Who started it.
        host: On which machine.
        pid: In which process.
        python: Version of Python.
        versions: Versions of packages by name.
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
class Ending:
    """How a run ended.

    Attributes:
        status: That of ``summary.json``, or ``interrupted``.
        seconds: Wall time, imports included; ``None`` for a run that was killed.
        version: The pushed version; ``None`` if nothing was pushed.
        metrics: The candidate's metrics on the eval split, over all rows.
        error: Why it failed, in one line.
    """

    status: str
    seconds: float | None = None
    version: str | None = None
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class Run:
    """One run, as its properties tell.

    Attributes:
        run_id: The run.
        context_id: Its context in ML Metadata.
        pipeline: The pipeline; ``None`` for a run of an earlier version of this project, as are ``seconds`` and
            ``origin``.
        status: That of ``summary.json``, or ``running``, or ``interrupted`` for a run that was killed, or
            ``unfinished`` where another machine knows which of the two, or ``unknown``.
        started: When it began.
        seconds: Wall time; ``None`` while it runs.
        version: The pushed version; ``None`` if nothing was pushed.
        metrics: The candidate's metrics on the eval split, over all rows.
        error: Why it failed, in one line.
        origin: What it was started from.
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


def _grouped(pairs: Iterable[tuple[int, Link]]) -> dict[int, list[Link]]:
    groups: dict[int, list[Link]] = {}
    for key, link in pairs:
        groups.setdefault(key, []).append(link)
    return groups
