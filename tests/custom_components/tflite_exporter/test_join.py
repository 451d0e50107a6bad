from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from custom_components.shared.tflite_file import operator_names, with_metadata
from custom_components.tflite_exporter.convert import convert_function
from custom_components.tflite_exporter.join import join
from serving.edge import METADATA, read_metadata

ROW = tf.TensorSpec([1, 3], tf.float32, "row")
HALVES = {"left": tf.TensorSpec([1, 3], tf.float32, "left"), "right": tf.TensorSpec([1, 3], tf.float32, "right")}


@tf.function
def halves(row: tf.Tensor) -> dict[str, tf.Tensor]:
    return {"left": row * 2, "right": row - 5}


@tf.function
def difference(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    return tf.while_loop(lambda step, _: step < 3, lambda step, sum_: (step + 1, sum_ + left), (0, -right))[1]


@pytest.fixture(scope="module")
def joined() -> bytes:
    head, tail = halves.get_concrete_function(ROW), difference.get_concrete_function(**HALVES)
    parts = convert_function(head, "the head"), convert_function(tail, "the tail")
    return join(*parts, {"row": "die Größe/%"}, ["left", "right"], "sum")


def test_the_outputs_of_the_first_model_are_inputs_of_the_second(joined: bytes) -> None:
    runner = Interpreter(model_content=joined).get_signature_runner()
    row = np.array([[1.0, -2.0, 7.0]], np.float32)
    answer = runner(**{"die Größe/%": row})
    assert list(answer) == ["sum"]
    np.testing.assert_array_equal(answer["sum"], 3 * (row * 2) - (row - 5))


def test_a_constant_that_both_have_is_stored_once() -> None:
    table = np.arange(3000, dtype=np.float32).reshape(1, 3000)
    wide = tf.TensorSpec([1, 3000], tf.float32, "wide")
    parts = [tf.function(lambda wide: {"wide": wide + table}), tf.function(lambda wide: wide * table)]
    head, tail = (convert_function(part.get_concrete_function(wide), "the part") for part in parts)
    both = join(head, tail, {"wide": "wide"}, ["wide"], "product")
    assert len(both) < len(head) + len(tail) - table.nbytes
    answer = Interpreter(model_content=both).get_signature_runner()(wide=np.ones([1, 3000], np.float32))
    np.testing.assert_array_equal(answer["product"], (1 + table) * table)


def test_metadata_is_added_and_replaced(joined: bytes) -> None:
    first = with_metadata(joined, METADATA, {"classes": ["東京"]})
    second = with_metadata(first, METADATA, {"classes": ["Zürich"]})
    assert read_metadata(first) == {"classes": ["東京"]}
    assert read_metadata(second) == {"classes": ["Zürich"]}
    assert schema.Model.GetRootAs(second, 0).MetadataLength() == schema.Model.GetRootAs(first, 0).MetadataLength()
    Interpreter(model_content=second).allocate_tensors()


def test_operators_that_are_not_builtin_are_named_custom() -> None:
    def flex(converter: Any) -> None:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]

    square = tf.TensorSpec([1, 3, 3], tf.float32)
    function = tf.function(lambda each: tf.linalg.det(each) + 1).get_concrete_function(square)
    assert operator_names(convert_function(function, "the function", flex)) == ["ADD", "Custom FlexMatrixDeterminant"]


def test_every_constant_begins_where_a_processor_without_unaligned_loads_finds_it(joined: bytes) -> None:
    content = with_metadata(joined, METADATA, {"classes": ["a"]})
    start = np.frombuffer(content, np.uint8).ctypes.data
    model = schema.Model.GetRootAs(content, 0)
    constants = [model.Buffers(index).DataAsNumpy() for index in range(model.BuffersLength())]
    places = [each.ctypes.data - start for each in constants if isinstance(each, np.ndarray) and each.size]
    assert len(places) > 3
    assert [place % 16 for place in places] == [0] * len(places)


def test_no_buffer_is_left_that_nothing_refers_to(joined: bytes) -> None:
    model = schema.ModelT.InitFromPackedBuf(joined)
    used = {each.buffer for graph in model.subgraphs for each in graph.tensors}
    used |= {each.buffer for each in model.metadata or ()}
    assert used | {0} == set(range(len(model.buffers)))


def test_operators_are_named(joined: bytes) -> None:
    assert {"MUL", "SUB", "WHILE"} <= set(operator_names(joined))
