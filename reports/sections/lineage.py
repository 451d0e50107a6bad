"""The lineage of a run: its artifacts and executions as an interactive graph."""

import contextlib
import dataclasses
import json
from typing import Any

from lineage.graph.run_nodes import NodeRun
from lineage.records import Artifact, Direction
from reports.drawing.layout import Layout, place
from reports.section import Section
from reports.source import MissingError, Source

HEIGHT = 26.0
# Widths of a character of an artifact's and of a node's name, in the widest of the page's fonts, and the padding.
CHARACTER, BOLD_CHARACTER, PADDING = 7.2, 9.0, 16.0
MAX_CHARACTERS = 4_000  # of a property
# How an artifact relates to an execution, and the other way round.
RELATIONS: dict[Direction, tuple[str, str]] = {
    "input": ("used by", "used"),
    "output": ("made by", "made"),
    "reference": ("compared in", "compared with"),
    "found": ("selected by", "selected"),
}


@dataclasses.dataclass(frozen=True)
class Item:
    """A node of the graph, and the details that a click on it shows.

    Attributes:
        key: ``a<id>`` for an artifact, ``e<id>`` for an execution.
        label: Text in its box.
        title: Its full name.
        state: State of an execution, or empty for an artifact.
        facts: Names and values.
        properties: Properties in ML Metadata, as text.
        links: The relation to each neighbor, and the key and label of that neighbor.
    """

    key: str
    label: str
    title: str
    state: str
    facts: tuple[tuple[str, str], ...]
    properties: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str, str], ...]


@dataclasses.dataclass(frozen=True)
class Edge:
    """An edge between two nodes.

    Attributes:
        start: Key of the upper node.
        end: Key of the lower node.
        is_lookup: Whether the artifact was only selected or compared with, such as a baseline.
    """

    start: str
    end: str
    is_lookup: bool


@dataclasses.dataclass(frozen=True)
class LineageView:
    """The graph.

    Attributes:
        items: Nodes by key.
        edges: Edges without duplicates.
        layout: The layout.
    """

    items: dict[str, Item]
    edges: tuple[Edge, ...]
    layout: Layout


def read(source: Source) -> LineageView:
    """Reads the graph of a run.

    Raises:
        MissingError: ML Metadata has no execution of the run.
    """
    if not source.nodes_run:
        raise MissingError("ML Metadata has no execution of this run")
    lineage = source.lineage
    # The outputs of a cached execution are shown with the execution that made them.
    nodes = {each.producer.id: each for each in source.nodes_run.values()}
    links = [each for each in lineage.events if each.execution_id in nodes and each.artifact_id in lineage.artifacts]
    labels = {f"e{key}": each.execution.node for key, each in nodes.items()}
    labels |= {f"a{each.artifact_id}": lineage.artifacts[each.artifact_id].type.rpartition(".")[2] for each in links}
    labels |= {f"a{each.artifact_id}": each.key for each in links if each.direction == "output"}
    near: dict[str, list[tuple[str, str, str]]] = {key: [] for key in labels}
    edges = []
    for each in links:
        artifact, execution = f"a{each.artifact_id}", f"e{each.execution_id}"
        down = each.direction in ("input", "reference")
        start, end = (artifact, execution) if down else (execution, artifact)
        edges.append(Edge(start, end, is_lookup=each.direction not in ("input", "output")))
        of_artifact, of_execution = RELATIONS[each.direction]
        near[artifact].append((of_artifact, execution, labels[execution]))
        near[execution].append((f"{of_execution} as {each.key}", artifact, labels[artifact]))
    items = {f"e{key}": _of_node(each, near[f"e{key}"]) for key, each in nodes.items()}
    for key in dict.fromkeys(each.artifact_id for each in links):
        name, label = lineage.name(key), labels[f"a{key}"]
        items[f"a{key}"] = _of_artifact(lineage.artifacts[key], name, label, near[f"a{key}"])
    widths = {
        key: len(label) * (BOLD_CHARACTER if items[key].state else CHARACTER) + PADDING for key, label in labels.items()
    }
    layout = place(widths, [(each.start, each.end) for each in edges], HEIGHT)
    return LineageView(items, tuple(dict.fromkeys(edges)), layout)


def _of_node(each: NodeRun, links: list[tuple[str, str, str]]) -> Item:
    execution, producer = each
    facts = [
        ("execution", str(execution.id)),
        ("state", execution.state),
        ("run", execution.run_id),
        ("component", producer.type),
        ("started", f"{execution.started:%Y-%m-%d %H:%M:%S} UTC"),
        ("seconds", f"{execution.seconds:.1f}"),
    ]
    if producer is not execution:
        facts.append(("made in run", f"{producer.run_id} by execution {producer.id}, in {producer.seconds:.1f} s"))
    node = execution.node
    properties = _properties(producer.properties)
    return Item(f"e{producer.id}", node, node, execution.state, tuple(facts), properties, tuple(links))


def _of_artifact(each: Artifact, name: str, label: str, links: list[tuple[str, str, str]]) -> Item:
    facts = (
        ("artifact", str(each.id)),
        ("type", each.type),
        ("folder", each.uri),
        ("created", f"{each.created:%Y-%m-%d %H:%M:%S} UTC"),
    )
    return Item(f"a{each.id}", label, name, "", facts, _properties(each.properties), tuple(links))


def _properties(found: Any) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), _shortened(value)) for name, value in found.items() if value not in (None, ""))


def _shortened(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if text.startswith(("{", "[")):
        with contextlib.suppress(ValueError):
            text = json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    more = len(text) - MAX_CHARACTERS
    return text if more <= 0 else f"{text[:MAX_CHARACTERS]}… and {more:,} more characters"


SECTION = Section("lineage", "Lineage", read, absent="No graph")
