"""Follows ML Metadata's events, level by level.

Each level takes a few queries, no matter how many artifacts it has. So the time grows with the result, not with the
store.
"""

from collections.abc import Callable, Collection, Iterable

from lineage.records import Artifact, Direction, Event, LineageGraph, RunRecord
from lineage.store.reader import MetadataReader

MAX_ID_DIGITS = 18


class GraphWalker:
    """Reads parts of ML Metadata's graph."""

    def __init__(self, reader: MetadataReader) -> None:
        """Walks the graph of one store."""
        self._reader = reader

    def upstream(self, artifact_ids: Iterable[int]) -> LineageGraph:
        """Returns everything that artifacts were made from.

        The producer of an artifact is the execution that made it, never a cached one. Artifacts that were only compared
        with, such as a baseline, are in the graph, but are not followed further. The graph also has the other outputs
        of each execution, such as the evaluation next to a blessing.
        """

        def producers(artifact_ids: Collection[int]) -> set[int]:
            return {event.execution_id for event in self._output_events(artifact_ids)}

        artifacts, executions, events = self._walk(artifact_ids, producers, "input")
        return self._graph(artifacts, executions, events)

    def downstream(self, artifact_ids: Iterable[int]) -> LineageGraph:
        """Returns everything that was made from artifacts, with failed executions and the artifacts' own producers.

        A model is not downstream of the baseline that it was compared with. Cached executions and the other inputs of
        the executions are left out.
        """
        start = set(artifact_ids)

        def consumers(artifact_ids: Collection[int]) -> set[int]:
            events = self._reader.events_of_artifacts(artifact_ids)
            return set(self._reader.without_cached({each.execution_id for each in events if each.direction == "input"}))

        artifacts, executions, events = self._walk(start, consumers, "output")
        outputs = self._output_events(start)
        events = [event for event in events if event.artifact_id in artifacts]
        return self._graph(artifacts, executions | {event.execution_id for event in outputs}, [*outputs, *events])

    def of_executions(self, execution_ids: Iterable[int]) -> LineageGraph:
        """Returns executions with all their inputs and outputs."""
        executions = set(execution_ids)
        return self._graph((), executions, self._reader.events_of_executions(executions))

    def of_run(self, run: RunRecord) -> LineageGraph:
        """Returns the executions of a run, those reused from an earlier run included, with their inputs and outputs."""
        return self.of_executions(self._reader.executions_of_run(run))

    def producers(self, artifact_ids: Iterable[int]) -> LineageGraph:
        """Returns artifacts and the executions that made them, without the executions' other artifacts."""
        artifacts = set(artifact_ids)
        outputs = self._output_events(artifacts)
        return self._graph(artifacts, {event.execution_id for event in outputs}, outputs)

    def products(self, artifact_id: int) -> list[Artifact]:
        """Returns what was made directly from an artifact, oldest first."""
        events = self._reader.events_of_artifacts([artifact_id])
        consumers = {event.execution_id for event in events if event.direction == "input"}
        events = self._reader.events_of_executions(consumers)
        return self._reader.artifacts(sorted({event.artifact_id for event in events if event.direction == "output"}))

    def _walk(
        self,
        artifact_ids: Iterable[int],
        next_executions: Callable[[Collection[int]], set[int]],
        direction: Direction,
    ) -> tuple[set[int], set[int], list[Event]]:
        """Walks from artifacts to ``next_executions``, and on to the artifacts of their events in ``direction``.

        Returns:
            The artifacts that were visited, the executions, and all events of these.
        """
        frontier = set(artifact_ids)
        visited: set[int] = set()
        executions: set[int] = set()
        events: list[Event] = []
        while frontier:
            visited |= frontier
            new = next_executions(frontier) - executions
            executions |= new
            found = self._reader.events_of_executions(new)
            events += found
            frontier = {event.artifact_id for event in found if event.direction == direction} - visited
        return visited, executions, events

    def _output_events(self, artifact_ids: Collection[int]) -> list[Event]:
        """Returns the output event of each artifact's producer: the first execution that has it as an output.

        An artifact that every run returns from the cache has thousands of events. TFX names the folder after the
        execution that made it, so that execution is tried first.
        """
        found: dict[int, Event] = {}
        guesses = {each.id: _execution_numbers(each.uri) for each in self._reader.artifacts(artifact_ids)}
        guessed = self._reader.without_cached([number for numbers in guesses.values() for number in numbers])
        for event in self._reader.events_of_executions(guessed):
            if event.direction == "output" and event.execution_id in guesses.get(event.artifact_id, ()):
                found[event.artifact_id] = event
        missing = [artifact_id for artifact_id in artifact_ids if artifact_id not in found]
        for event in self._reader.events_of_artifacts(missing):
            known = found.get(event.artifact_id)
            if event.direction == "output" and (known is None or event.execution_id < known.execution_id):
                found[event.artifact_id] = event
        return list(found.values())

    def _graph(
        self, artifact_ids: Collection[int], execution_ids: Collection[int], events: Collection[Event]
    ) -> LineageGraph:
        artifacts = self._reader.artifacts(sorted({*artifact_ids, *(event.artifact_id for event in events)}))
        executions = self._reader.executions(sorted(execution_ids))
        return LineageGraph(
            artifacts={artifact.id: artifact for artifact in artifacts},
            executions={execution.id: execution for execution in executions},
            events=tuple(sorted(events, key=lambda event: event.order)),
        )


def _execution_numbers(uri: str) -> list[int]:
    """Returns the numbers at the end of a folder's path. An output with several artifacts has one subfolder each.

    >>> _execution_numbers("/output/artifacts/Trainer/model/9")
    [9]
    >>> _execution_numbers("/output/artifacts/Splitter/examples/9/1")
    [9, 1]
    """
    return [
        int(part)
        for part in uri.rstrip("/").split("/")[-2:]
        if part.isascii() and part.isdigit() and len(part) <= MAX_ID_DIGITS
    ]
