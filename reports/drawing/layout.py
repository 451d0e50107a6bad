"""Layered layout of a directed graph, from top to bottom (after Sugiyama, Tagawa and Toda, 1981)."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

SWEEPS = 12
# Width of an edge that passes a layer, gap between neighbors, and gap between layers, in pixels.
PASSING, GAP, BETWEEN = 14.0, 18.0, 44.0
MARGIN = 6.0
# The key of a node. For an edge that passes a layer, the index of the edge and the layer.
Key = str | tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Box:
    """Center and size of a node, in pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclasses.dataclass(frozen=True)
class Layout:
    """Positions of a graph's nodes and edges.

    Attributes:
        boxes: Boxes by node.
        paths: SVG path data by edge.
        width: Total width, in pixels.
        height: Total height, in pixels.
    """

    boxes: Mapping[str, Box]
    paths: Mapping[tuple[str, str], str]
    width: float
    height: float


def place(widths: Mapping[str, float], edges: Sequence[tuple[str, str]], height: float) -> Layout:
    """Places the nodes of a graph so that edges point down.

    Args:
        widths: Widths by node, in pixels.
        edges: Edges from one node to another. Edges of unknown nodes, and those that close a cycle, are left out.
        height: Height of every node, in pixels.
    """
    edges = [edge for edge in dict.fromkeys(edges) if edge[0] in widths and edge[1] in widths and edge[0] != edge[1]]
    levels = _levels(widths, edges)
    edges = [edge for edge in edges if levels[edge[0]] < levels[edge[1]]]
    chains = [_chain(edge, index, levels) for index, edge in enumerate(edges)]
    layers: list[list[Key]] = [[] for _ in range(max(levels.values(), default=-1) + 1)]
    for node, level in levels.items():
        layers[level].append(node)
    for (start, _), chain in zip(edges, chains, strict=True):
        for step, key in enumerate(chain[1:-1], start=levels[start] + 1):
            layers[step].append(key)
    near = _neighbors(chains)
    for sweep in range(SWEEPS):
        _order(layers, near, down=sweep % 2 == 0)
    sizes: dict[Key, float] = {key: widths[key] if isinstance(key, str) else PASSING for each in layers for key in each}
    at = _positions(layers, near, sizes)
    left = min((at[key] - sizes[key] / 2 for key in sizes), default=0.0) - MARGIN
    right = max((at[key] + sizes[key] / 2 for key in sizes), default=0.0) + MARGIN
    rows = {key: MARGIN + height / 2 + level * (height + BETWEEN) for level, each in enumerate(layers) for key in each}
    boxes = {node: Box(at[node] - left, rows[node], widths[node], height) for node in widths}
    paths = {
        edge: _path([(at[key] - left, rows[key]) for key in chain], height)
        for edge, chain in zip(edges, chains, strict=True)
    }
    return Layout(boxes, paths, right - left, 2 * MARGIN + len(layers) * (height + BETWEEN) - BETWEEN)


def _levels(nodes: Mapping[str, float], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The length of the longest path to each node. A node without predecessors is right above its first successor."""
    levels = dict.fromkeys(nodes, 0)
    for _ in range(len(nodes)):
        before = dict(levels)
        for start, end in edges:
            levels[end] = min(max(levels[end], levels[start] + 1), len(nodes))
        if before == levels:
            break
    ends = {end for _, end in edges}
    for node in nodes:
        following = [levels[end] for start, end in edges if start == node]
        if node not in ends and following:
            levels[node] = max(min(following) - 1, 0)
    used = {level: rank for rank, level in enumerate(sorted(set(levels.values())))}
    return {node: used[level] for node, level in levels.items()}


def _chain(edge: tuple[str, str], index: int, levels: Mapping[str, int]) -> list[Key]:
    start, end = edge
    return [start, *((index, level) for level in range(levels[start] + 1, levels[end])), end]


def _neighbors(chains: Sequence[Sequence[Key]]) -> dict[Key, tuple[list[Key], list[Key]]]:
    """The neighbors above and below each key."""
    near: dict[Key, tuple[list[Key], list[Key]]] = {}
    for chain in chains:
        for upper, lower in itertools.pairwise(chain):
            near.setdefault(upper, ([], []))[1].append(lower)
            near.setdefault(lower, ([], []))[0].append(upper)
    return near


def _order(layers: list[list[Key]], near: Mapping[Key, tuple[list[Key], list[Key]]], down: bool) -> None:
    """Sorts each layer by the mean position of its neighbors in the layer before (one sweep)."""
    for layer in layers[1:] if down else layers[-2::-1]:
        places = {key: place for each in layers for place, key in enumerate(each)}

        def mean(key: Key, places: Mapping[Key, int] = places) -> float:
            neighbors = near.get(key, ([], []))[0 if down else 1]
            return sum(places[each] for each in neighbors) / len(neighbors) if neighbors else float(places[key])

        layer.sort(key=mean)


def _positions(
    layers: Sequence[Sequence[Key]], near: Mapping[Key, tuple[list[Key], list[Key]]], sizes: Mapping[Key, float]
) -> dict[Key, float]:
    """Centers close to those of the neighbors, without overlap within a layer."""
    at: dict[Key, float] = {}
    for layer in layers:
        total = sum(sizes[key] + GAP for key in layer)
        so_far = -total / 2
        for key in layer:
            at[key] = so_far + sizes[key] / 2
            so_far += sizes[key] + GAP
    for sweep in range(SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = []
            for key in layer:
                neighbors = [*near.get(key, ([], []))[0], *near.get(key, ([], []))[1]]
                wanted.append(sum(at[each] for each in neighbors) / len(neighbors) if neighbors else at[key])
            at |= zip(layer, _without_overlap(wanted, [sizes[key] for key in layer]), strict=True)
    return at


def _without_overlap(wanted: Sequence[float], sizes: Sequence[float]) -> list[float]:
    """The positions closest to the wanted ones, in least squares, at which neighbors do not overlap.

    After subtracting the space to the left of each position this is isotonic regression, solved by pooling adjacent
    violators.
    """
    rooms = list(
        itertools.accumulate(((one + other) / 2 + GAP for one, other in itertools.pairwise(sizes)), initial=0.0)
    )
    pools: list[tuple[float, int]] = []
    for want, room in zip(wanted, rooms, strict=True):
        pools.append((want - room, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (last, many), (before, others) = pools.pop(), pools.pop()
            pools.append(((last * many + before * others) / (many + others), many + others))
    flat = [value for value, many in pools for _ in range(many)]
    return [value + room for value, room in zip(flat, rooms, strict=True)]


def _path(points: Sequence[tuple[float, float]], height: float) -> str:
    """A smooth curve from the bottom of the first node to the top of the last."""
    (x, y), *rest = points
    y += height / 2
    parts = [f"M{x:.1f} {y:.1f}"]
    for index, (to_x, center) in enumerate(rest):
        to_y = center - height / 2
        middle = (y + to_y) / 2
        parts.append(f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
        if index < len(rest) - 1:
            y = center + height / 2
            parts.append(f"L{x:.1f} {y:.1f}")
    return "".join(parts)
