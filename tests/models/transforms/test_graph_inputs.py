"""The inputs that outputs of a Transform graph depend on, compared with TFT's own search."""

from collections.abc import Iterator

import pytest
import tensorflow as tf
from small_table import SPEC, small_table
from tensorflow_transform import graph_tools
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

from models.transforms.graph_inputs import inputs_by_output

COLUMNS = {*SPEC}


@pytest.fixture(scope="module")
def loaded() -> Iterator[SavedModelLoader]:
    return SavedModelLoader(small_table().graph.transform_savedmodel_dir)


def test_each_output_has_the_sources_that_tft_finds(loaded: SavedModelLoader) -> None:
    outputs = loaded.structured_outputs
    assert len(outputs) > 20
    for name, sources in inputs_by_output(outputs).items():
        expected = graph_tools.retrieve_sources([outputs[name].op], ignore_control_dependencies=True)
        assert set(map(id, sources)) == set(map(id, expected)), name


def test_outputs_of_the_same_columns_share_their_sources(loaded: SavedModelLoader) -> None:
    assert len(set(map(id, loaded._output_to_inputs_map.values()))) < len(loaded.structured_outputs)


@pytest.mark.parametrize("unfed", [[], ["gain"], ["city"], ["gain", "city", "month"], sorted(COLUMNS)])
def test_the_outputs_of_some_columns_are_those_that_tft_finds(loaded: SavedModelLoader, unfed: list[str]) -> None:
    graph = loaded._func_graph
    inputs = {id(each): each for each in graph.inputs}
    for name in unfed:
        for each in tf.nest.flatten(loaded._structured_inputs[name], expand_composites=True):
            del inputs[id(each)]
    feeds = loaded._get_feeds(unfed)
    assert set(map(id, feeds)) == set(inputs)
    known = {*inputs, *map(id, graph.internal_captures)}
    expected = {
        name
        for name, output in loaded.structured_outputs.items()
        if {*map(id, graph_tools.retrieve_sources([output.op], ignore_control_dependencies=True))} <= known
    }
    assert loaded._get_fetches(feeds).keys() == expected
    assert expected or len(unfed) == len(COLUMNS)
