"""Walks ML Metadata's graph over its events, level by level.

Each level is a handful of queries for all of it together, so they grow with the answer and not with the store.
"""

from collections.abc import Callable, Collection, Iterable

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from lineage.graph.convert import to_artifact, to_execution, to_link
from lineage.records import Artifact, Direction, Lineage, Link

MOST_DIGITS = 18  # of an id
CACHED = metadata_store_pb2.Execution.CACHED


def upstream(store: metadata_store.MetadataStore, artifact_ids: Iterable[int]) -> Lineage:
    """Everything that artifacts were made of.

    An artifact's producer is the execution that made it; cached ones, which give it out again, are left out. What a
    judge compared with is named and not followed, since nothing is made of it. Other outputs of the executions on the
    way, such as an evaluation beside its blessing, are there too.
    """

    def producers(frontier: Collection[int]) -> set[int]:
        return {link.execution_id for link in _made(store, frontier)}

    artifacts, executions, links = _walk(store, artifact_ids, producers, "input")
    return _lineage(store, artifacts, executions, links)


def downstream(store: metadata_store.MetadataStore, artifact_ids: Iterable[int]) -> Lineage:
    """Everything that was made of artifacts, failed attempts included, and the executions that made those.

    A model that a judge compared with is no ingredient of what was judged. Cached executions give out what is there
    already, and are left out. So are other inputs of the executions on the way.
    """
    start = set(artifact_ids)

    def users(frontier: Collection[int]) -> set[int]:
        links = _links(store.get_events_by_artifact_ids(list(frontier)))
        ids = {link.execution_id for link in links if link.direction == "input"}
        found = store.get_executions_by_id(list(ids)) if ids else []
        return {execution.id for execution in found if execution.last_known_state != CACHED}

    artifacts, executions, links = _walk(store, start, users, "output")
    made = _made(store, start)
    links = [link for link in links if link.artifact_id in artifacts]
    return _lineage(store, artifacts, executions | {link.execution_id for link in made}, [*made, *links])


def of_executions(store: metadata_store.MetadataStore, execution_ids: Iterable[int]) -> Lineage:
    """Executions with all that went into them and came out of them."""
    executions = set(execution_ids)
    links = _links(store.get_events_by_execution_ids(list(executions))) if executions else []
    return _lineage(store, (), executions, links)


def of_run(store: metadata_store.MetadataStore, context_id: int) -> Lineage:
    """A run's executions, those that it took over from an earlier run included, and their artifacts."""
    return of_executions(store, (execution.id for execution in store.get_executions_by_context(context_id)))


def makers(store: metadata_store.MetadataStore, artifact_ids: Iterable[int]) -> Lineage:
    """Artifacts with the executions that made them, and nothing else of these."""
    ids = set(artifact_ids)
    made = _made(store, ids)
    return _lineage(store, ids, {link.execution_id for link in made}, made)


def products(store: metadata_store.MetadataStore, artifact_id: int) -> list[Artifact]:
    """What was made directly of an artifact, oldest first."""
    users = {
        link.execution_id
        for link in _links(store.get_events_by_artifact_ids([artifact_id]))
        if link.direction == "input"
    }
    links = _links(store.get_events_by_execution_ids(list(users))) if users else []
    ids = {link.artifact_id for link in links if link.direction == "output"}
    return [to_artifact(each) for each in store.get_artifacts_by_id(sorted(ids))] if ids else []


def together(*parts: Lineage) -> Lineage:
    """Several parts of the graph as one."""
    artifacts = {number: each for part in parts for number, each in part.artifacts.items()}
    executions = {number: each for part in parts for number, each in part.executions.items()}
    links = dict.fromkeys(link for part in parts for link in part.links)
    return Lineage(artifacts, dict(sorted(executions.items())), tuple(sorted(links, key=_order)))


def _walk(
    store: metadata_store.MetadataStore,
    artifact_ids: Iterable[int],
    neighbours: Callable[[Collection[int]], set[int]],
    onward: Direction,
) -> tuple[set[int], set[int], list[Link]]:
    """Goes from artifacts to the executions that ``neighbours`` gives, and on along their ``onward`` links.

    Returns:
        The artifacts gone through, the executions, and all links of these.
    """
    frontier = set(artifact_ids)
    walked: set[int] = set()
    executions: set[int] = set()
    links: list[Link] = []
    while frontier:
        walked |= frontier
        new = neighbours(frontier) - executions
        executions |= new
        found = _links(store.get_events_by_execution_ids(list(new))) if new else []
        links += found
        frontier = {link.artifact_id for link in found if link.direction == onward} - walked
    return walked, executions, links


def _made(store: metadata_store.MetadataStore, artifact_ids: Collection[int]) -> list[Link]:
    """How artifacts came to be: the first execution that gave each out.

    An artifact that each run gives out again has thousands of events. TFX ends its folder's name with the number of
    the execution that made it, so that one is asked first.
    """
    found: dict[int, Link] = {}
    artifacts = store.get_artifacts_by_id(list(artifact_ids)) if artifact_ids else []
    guesses = {each.id: _numbers(each.uri) for each in artifacts}
    asked = [number for numbers in guesses.values() for number in numbers]
    asked = [each.id for each in store.get_executions_by_id(asked) if each.last_known_state != CACHED] if asked else []
    for link in _links(store.get_events_by_execution_ids(asked)) if asked else ():
        if link.direction == "output" and link.execution_id in guesses.get(link.artifact_id, ()):
            found[link.artifact_id] = link
    rest = [each for each in artifact_ids if each not in found]
    for link in _links(store.get_events_by_artifact_ids(rest)) if rest else ():
        known = found.get(link.artifact_id)
        if link.direction == "output" and (known is None or link.execution_id < known.execution_id):
            found[link.artifact_id] = link
    return list(found.values())


def _numbers(uri: str) -> list[int]:
    """Numbers that end a folder's name; of an output with several artifacts each has a folder below."""
    return [int(part) for part in uri.rstrip("/").split("/")[-2:] if part.isdigit() and len(part) <= MOST_DIGITS]


def _lineage(
    store: metadata_store.MetadataStore, artifacts: Collection[int], executions: Collection[int], links: list[Link]
) -> Lineage:
    every = {*artifacts, *(link.artifact_id for link in links)}
    found = store.get_artifacts_by_id(sorted(every)) if every else []
    ran = store.get_executions_by_id(sorted(executions)) if executions else []
    return Lineage(
        artifacts={message.id: to_artifact(message) for message in found},
        executions={message.id: to_execution(store, message) for message in ran},
        links=tuple(sorted(links, key=_order)),
    )


def _links(events: Iterable[metadata_store_pb2.Event]) -> list[Link]:
    return [link for event in events if (link := to_link(event)) is not None]


def _order(link: Link) -> tuple[int, str, str, int]:
    return (link.execution_id, link.direction, link.key, link.index)
