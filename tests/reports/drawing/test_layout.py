import itertools

from hypothesis import given
from hypothesis import strategies as st

from reports.drawing.layout import place
from reports.sections.pipeline import transitive_reduction

NODES = [f"n{index}" for index in range(9)]
EDGES = st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)), max_size=25)


@given(EDGES)
def test_nodes_keep_apart_within_the_picture_and_edges_point_down(edges: list[tuple[str, str]]) -> None:
    forward = [(start, end) for start, end in edges if start < end]
    layout = place(dict.fromkeys(NODES, 50.0), forward, 20.0)
    for one, other in itertools.combinations(layout.boxes.values(), 2):
        assert abs(one.x - other.x) >= 50 or abs(one.y - other.y) >= 20
    for box in layout.boxes.values():
        assert 25 <= box.x <= layout.width - 25
        assert 10 <= box.y <= layout.height - 10
    assert set(layout.paths) == set(forward)
    assert all(layout.boxes[start].y < layout.boxes[end].y for start, end in forward)


@given(EDGES)
def test_cycles_do_not_hang(edges: list[tuple[str, str]]) -> None:
    assert set(place(dict.fromkeys(NODES, 50.0), edges, 20.0).boxes) == set(NODES)


def test_an_empty_graph_has_an_empty_layout() -> None:
    assert place({}, [], 20.0).boxes == {}


def test_an_edge_that_a_longer_path_implies_is_left_out() -> None:
    upstream = {"a": [], "b": ["a"], "c": ["a", "b"], "d": ["a", "c"]}
    assert transitive_reduction(upstream) == {"a": [], "b": ["a"], "c": ["b"], "d": ["c"]}
