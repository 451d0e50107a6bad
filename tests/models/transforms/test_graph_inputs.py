"""The inputs that outputs of a Transform graph depend on, compared with TFT's own search."""

from collections.abc import Iterator

import pytest
from small_table import small_table
from tensorflow_transform import graph_tools
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

from models.transforms.graph_inputs import Sources, inputs_by_output


@pytest.fixture(scope="module")
def loaded() -> Iterator[SavedModelLoader]:
    return SavedModelLoader(small_table().graph.transform_savedmodel_dir)


def test_each_output_has_the_sources_that_tft_finds(loaded: SavedModelLoader) -> None:
    outputs = loaded.structured_outputs
    assert len(outputs) > 20
    for name, sources in inputs_by_output(outputs).items():
        expected = graph_tools.retrieve_sources([outputs[name].op], ignore_control_dependencies=True)
        assert set(map(id, sources)) == set(map(id, expected)), name


def test_tft_uses_them(loaded: SavedModelLoader) -> None:
    assert all(isinstance(each, Sources) for each in loaded._output_to_inputs_map.values())
