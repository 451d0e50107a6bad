from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

from custom_components.tflite_exporter.convert import convert_function
from custom_components.tflite_exporter.farmhash import TEXT_BYTES, decimal_text, fingerprint, hash_bucket
from serving.edge import NO_BYTE

BUCKETS = [2, 97, 9_999_991]
Array = np.ndarray[Any, Any]


def as_byte_values(texts: list[bytes]) -> Array:
    byte_values = np.full([len(texts), TEXT_BYTES], NO_BYTE, np.int32)
    for row, text in zip(byte_values, texts, strict=True):
        row[: len(text)] = list(text)
    return byte_values


def on_device(function: Any, spec: tf.TensorSpec) -> Any:
    """The function, converted and run by LiteRT."""
    content = convert_function(tf.function(function, autograph=False).get_concrete_function(spec), "the function")
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    [taken], [given_back] = interpreter.get_input_details(), interpreter.get_output_details()

    def run(values: Array) -> Array:
        interpreter.set_tensor(taken["index"], values)
        interpreter.invoke()
        found: Array = interpreter.get_tensor(given_back["index"])
        return found

    return run


@pytest.fixture(scope="module")
def hash_on_device() -> Any:
    return on_device(
        lambda text: hash_bucket(tf.repeat(text, len(BUCKETS), axis=0), BUCKETS),
        tf.TensorSpec([1, TEXT_BYTES], tf.int32),
    )


@pytest.mark.parametrize("length", range(TEXT_BYTES + 1))
def test_every_length_hashes_as_tensorflow_hashes_it(length: int, hash_on_device: Any) -> None:
    random = np.random.default_rng(length)
    for _ in range(4):
        text = random.bytes(length)
        expected = [int(tf.strings.to_hash_bucket_fast(text, buckets)) for buckets in BUCKETS]
        assert hash_on_device(as_byte_values([text])).tolist() == expected


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(st.binary(max_size=TEXT_BYTES), min_size=1, max_size=4))
def test_the_hash_equals_farmhash(texts: list[bytes]) -> None:
    found = fingerprint(tf.constant(as_byte_values(texts))).numpy()
    expected = tf.fingerprint(texts, method="farmhash64").numpy().copy().view(np.int64)[:, 0]
    np.testing.assert_array_equal(found, expected)


@pytest.fixture(scope="module")
def decimals_on_device() -> Any:
    return on_device(decimal_text, tf.TensorSpec([1], tf.int64))


EDGES = [0, 1, -1, 9, 10, 99, 100, 10**18, 10**18 - 1, -(10**18), 2**63 - 1, -(2**63) + 1]


@settings(max_examples=200, deadline=None)
@given(number=st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-1000, 1000) | st.sampled_from(EDGES))
def test_numbers_are_written_as_tensorflow_writes_them(decimals_on_device: Any, number: int) -> None:
    found = decimals_on_device(np.array([number], np.int64))
    np.testing.assert_array_equal(found, as_byte_values([str(number).encode()]))
