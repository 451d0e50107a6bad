import functools
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import classification_pb2, inference_pb2, predict_pb2, regression_pb2

from serving import large_messages
from serving.inference import large_predict
from serving.inference.large_predict import LargeRequest, parse_request
from serving.large_messages import length_delimited, parse
from serving.tensor_protos import TensorProto, encoding_of, to_array, to_proto

NAMES = st.sampled_from(["x", "y", "é" * 20, ""])
INT64 = st.integers(-(2**63), 2**63 - 1)


@pytest.fixture
def tiny_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (large_messages, large_predict):
        monkeypatch.setattr(module, "SLICE_BYTES", 8)
    monkeypatch.setattr(large_messages, "let_others_run", lambda: None)


@st.composite
def tensors(draw: st.DrawFn) -> TensorProto:
    proto = TensorProto(dtype=draw(st.sampled_from([1, 3, 7, 9])), version_number=draw(st.integers(0, 9)))
    for size in draw(st.lists(st.integers(0, 300), max_size=3)):
        proto.tensor_shape.dim.add(size=size, name=draw(NAMES))
    proto.tensor_content = draw(st.binary(max_size=30))
    proto.float_val.extend(draw(st.lists(st.floats(width=32), max_size=12)))
    proto.double_val.extend(draw(st.lists(st.floats(), max_size=6)))
    proto.int64_val.extend(draw(st.lists(INT64, max_size=9)))
    proto.bool_val.extend(draw(st.lists(st.booleans(), max_size=30)))
    proto.string_val.extend(draw(st.lists(st.binary(max_size=20), max_size=5)))
    return proto


@st.composite
def examples(draw: st.DrawFn) -> example_pb2.Example:
    example = example_pb2.Example()
    for name in draw(st.lists(NAMES, max_size=3)):
        feature = example.features.feature[name]
        feature.float_list.value.extend(draw(st.lists(st.floats(width=32), max_size=9)))
        if draw(st.booleans()):
            feature.int64_list.value.extend(draw(st.lists(INT64, max_size=9)))
    return example


@st.composite
def requests(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from([predict_pb2.PredictRequest, classification_pb2.ClassificationRequest]))
    request = kind()
    request.model_spec.name = draw(NAMES)
    request.model_spec.version.value = draw(INT64)
    if isinstance(request, predict_pb2.PredictRequest):
        for name in draw(st.lists(NAMES, max_size=3)):
            request.inputs[name].CopyFrom(draw(tensors()))
        request.output_filter.extend(draw(st.lists(NAMES, max_size=3)))
    else:
        target: Any = request.input.example_list
        if draw(st.booleans()):
            target = request.input.example_list_with_context
            target.context.CopyFrom(draw(examples()))
        target.examples.extend(draw(st.lists(examples(), max_size=4)))
    return request


def outcome(parse_bytes: Callable[[bytes], Any], serialized: bytes) -> Any:
    try:
        message = parse_bytes(serialized)
        message.DiscardUnknownFields()
        return message.SerializeToString(deterministic=True)
    except DecodeError:
        return "malformed"


@given(requests(), st.randoms(use_true_random=False))
@pytest.mark.usefixtures("tiny_slices")
def test_slices_are_parsed_as_the_whole(request: Any, chance: random.Random) -> None:
    whole = request.SerializeToString()
    damaged = bytearray(whole)
    if damaged:
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    for serialized in (whole, whole + whole, whole[: chance.randrange(len(whole) + 1)], bytes(damaged)):
        expected = outcome(type(request).FromString, serialized)
        assert outcome(functools.partial(parse, type(request)), serialized) == expected


@pytest.mark.parametrize(
    "inputs",
    [
        length_delimited(2, length_delimited(2, b"\x08\x01") + length_delimited(1, b"late key")),
        length_delimited(2, length_delimited(1, b"no value!")),
        length_delimited(2, length_delimited(1, b"\xff" * 9)),
        length_delimited(2, length_delimited(1, b"twice") + 2 * length_delimited(2, length_delimited(5, bytes(16)))),
        length_delimited(2, b"\x0b" + bytes(9)) + length_delimited(9, bytes(20)),
        length_delimited(9, bytes(20)) + b"\x80" * 11,
    ],
)
@pytest.mark.usefixtures("tiny_slices")
def test_unusual_forms_are_parsed_as_the_whole(inputs: bytes) -> None:
    expected = outcome(predict_pb2.PredictRequest.FromString, inputs)
    assert outcome(functools.partial(parse, predict_pb2.PredictRequest), inputs) == expected


def test_endless_nesting_is_malformed() -> None:
    serialized = b""
    for _ in range(3000):
        serialized = length_delimited(3, serialized or bytes(large_messages.SLICE_BYTES))
    for kind in (predict_pb2.PredictRequest, regression_pb2.RegressionRequest, inference_pb2.MultiInferenceRequest):
        assert outcome(functools.partial(parse, kind), serialized) == outcome(kind.FromString, serialized)


@pytest.fixture
def turns() -> Iterator[Callable[[Callable[[], object]], int]]:
    """Counts how often this thread gets Python's lock while a function runs in another one, if that gives it away."""
    before = sys.getswitchinterval()

    def count(function: Callable[[], object]) -> int:
        thread = threading.Thread(target=function)
        thread.start()
        turns = 0
        while thread.is_alive():
            time.sleep(1e-5)
            turns += 1
        return turns

    sys.setswitchinterval(1000)  # never take the lock from a thread
    yield count
    sys.setswitchinterval(before)


@pytest.mark.parametrize("dtype", [tf.float32, tf.int64, tf.string, tf.bool, tf.half])
def test_other_threads_run_while_a_large_tensor_is_converted(
    dtype: tf.DType, turns: Callable[[Callable[[], object]], int]
) -> None:
    count = 100_000 if dtype == tf.string else 1_200_000
    array = np.arange(count).astype("S7").astype(object) if dtype == tf.string else np.ones(count, dtype.as_numpy_dtype)
    request = predict_pb2.PredictRequest()
    number = dtype.as_datatype_enum
    request.inputs["x"].CopyFrom(to_proto(array, number))
    serialized = request.SerializeToString()
    assert turns(lambda: to_proto(array, number)) > 2
    assert turns(lambda: parse(predict_pb2.PredictRequest, serialized)) > 2
    assert turns(lambda: to_array(request.inputs["x"])) > 10
    assert to_array(parse(predict_pb2.PredictRequest, serialized).inputs["x"]).tolist() == array.tolist()


@pytest.mark.parametrize("count", [0, 1, 64, 65, 200_001])
@pytest.mark.parametrize("as_content", [False, True])
@pytest.mark.parametrize(
    "name", ["float32", "double", "complex64", "bool", "half", "int8", "uint64", "quint8", "string"]
)
def test_tensor_survives_a_message(name: str, as_content: bool, count: int) -> None:
    encoding = encoding_of(tf.dtypes.as_dtype(name).as_datatype_enum)
    raw = np.random.default_rng(count).integers(0, 256, count * 16, np.uint8)
    if name == "string":
        array = np.array([bytes(each) for each in raw.reshape(-1, 16).view("S16").ravel().tolist()], object)
    elif name == "bool":
        array = raw[:count] > 99
    else:
        array = raw.view(encoding.dtype)[:count]
    proto = to_proto(array, encoding.number, as_content)
    assert bool(proto.tensor_content) == (as_content and count > 0)
    found = to_array(TensorProto.FromString(proto.SerializeToString()))
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    if array.dtype.kind in "fc":
        np.testing.assert_array_equal(found, array)
    else:
        assert found.tolist() == array.tolist()
    if as_content and name == "string" and count:
        assert tf.io.parse_tensor(proto.SerializeToString(), tf.string).numpy().tolist() == array.tolist()


@pytest.mark.parametrize("content", [b"\x05ab", b"\x01", b"\x80", b"\x01\x01ab" + bytes(9), b"\xff" * 12])
def test_malformed_string_content_is_rejected(content: bytes) -> None:
    proto = TensorProto(dtype=tf.string.as_datatype_enum, tensor_content=content)
    proto.tensor_shape.dim.add(size=2)
    with pytest.raises(Exception, match="Tensor cannot be parsed"):
        to_array(proto)


def large_request(*entries: bytes) -> bytes:
    return predict_pb2.PredictRequest(output_filter=["y"]).SerializeToString() + b"".join(
        length_delimited(2, entry) for entry in entries
    )


def entry(name: str, tensor: bytes) -> bytes:
    return length_delimited(1, name.encode()) + length_delimited(2, tensor)


DTYPES = [tf.float32, tf.double, tf.complex64, tf.complex128, tf.half, tf.int32, tf.quint8, tf.bool, tf.string]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("as_content", [False, True])
@pytest.mark.usefixtures("tiny_slices")
def test_large_tensors_are_read_without_a_message(dtype: tf.DType, as_content: bool) -> None:
    number = dtype.as_datatype_enum
    array = (
        np.array([b"a", b"", b"bc"] * 4, object)
        if dtype == tf.string
        else np.arange(96, dtype=np.uint8).view(encoding_of(number).dtype if dtype != tf.bool else np.uint8)
    ).reshape(2, -1)
    array = array > 3 if dtype == tf.bool else array
    serialized = large_request(entry("x", to_proto(array, number, as_content).SerializeToString()))
    request = parse_request(serialized)
    complete = predict_pb2.PredictRequest.FromString(serialized)
    is_raw = dtype != tf.string and (as_content or dtype in (tf.float32, tf.double, tf.complex64, tf.complex128))
    assert isinstance(request, LargeRequest) == is_raw
    if isinstance(request, LargeRequest):
        found = request.arrays["x"]
        assert (found.tolist(), found.dtype, found.shape) == (array.tolist(), array.dtype, array.shape)
        assert found.ctypes.data % 64 == 0
        assert to_array(complete.inputs["x"]).tolist() == found.tolist()
        for name in ("tensor_content", "float_val", "double_val", "scomplex_val", "dcomplex_val"):
            complete.inputs["x"].ClearField(name)
        assert request.request == complete
    else:
        assert request == complete


FLOATS = to_proto(np.arange(6, dtype=np.float32), 1).SerializeToString()


@pytest.mark.parametrize(
    "serialized",
    [
        large_request(entry("x", FLOATS), entry("x", FLOATS)),
        large_request(entry("x", FLOATS), entry("x", b"")),
        large_request(entry("x", FLOATS + length_delimited(5, bytes(4)))),
        large_request(entry("x", FLOATS + length_delimited(4, bytes(24)))),
        large_request(entry("x", FLOATS + length_delimited(12, bytes(12)))),
        large_request(entry("x", FLOATS.replace(b"\x08\x01", b"\x08\x02", 1))),
        large_request(entry("x", FLOATS.replace(b"\x08\x01", b"\x08\x63", 1))),
        large_request(entry("x", FLOATS.replace(b"\x08\x06", b"\x08\x05", 1))),
        large_request(length_delimited(2, FLOATS) + length_delimited(1, b"x")),
        large_request(entry("x", FLOATS) + length_delimited(7, bytes(9))),
        large_request(entry("x", FLOATS))[:-1],
        large_request(length_delimited(1, b"\xff" * 9) + length_delimited(2, FLOATS)),
    ],
)
@pytest.mark.usefixtures("tiny_slices")
def test_unusual_tensors_are_parsed_completely(serialized: bytes) -> None:
    def read(data: bytes) -> Any:
        request = parse_request(data)
        assert not isinstance(request, LargeRequest)
        return request

    assert outcome(read, serialized) == outcome(predict_pb2.PredictRequest.FromString, serialized)
