from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from models.embeddings import Embeddings, embedding_layers, read_layout, write_layout

SIZES = {"city": 4, "colour": 2, "words": 5}


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
def test_each_feature_has_rows_of_its_own(dtype: tf.DType) -> None:
    layer = Embeddings(SIZES, 3)
    indices = [[[0], [3]], [[1], [0]], [[4, 0], [2, 2]]]
    found = layer([tf.constant(each, dtype) for each in indices]).numpy()
    tables = np.split(layer.embeddings.numpy(), [4, 6])
    expected = [
        np.concatenate([table[each[row]] for table, each in zip(tables, indices, strict=True)]) for row in range(2)
    ]
    np.testing.assert_array_equal(found, expected)
    assert layer.rows == {"city": slice(0, 4), "colour": slice(4, 6), "words": slice(6, 11)}


def test_one_feature_is_enough() -> None:
    layer = Embeddings({"city": 4}, 2, "ones")
    assert layer([tf.constant([[3]])]).numpy().tolist() == [[[1.0, 1.0]]]


def test_the_rows_of_each_feature_are_written_beside_the_model(tmp_path: Path) -> None:
    inputs = [keras.Input((1,), dtype=tf.int64) for _ in range(2)]
    embedded = Embeddings({"city": 4, "colour": 2}, 3, name="deep")(inputs)
    model = keras.Model(inputs, keras.layers.Flatten()(embedded))
    assert read_layout(str(tmp_path)) is None
    write_layout(model, str(tmp_path))
    assert read_layout(str(tmp_path)) == {"deep/embeddings": {"city": 4, "colour": 2}}
    assert list(embedding_layers(model)) == ["deep/embeddings"]
