import functools
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_serving.apis import input_pb2
from test_tensor_parsing import DTYPES, VALUES

from serving.errors import Code, ServingError
from serving.rest_json.document import Document, ParsedDocument
from serving.rest_json.dtype_rules import rules_for
from serving.rest_json.large_bodies import LargeBodies
from serving.rest_json.predict import Format, write_outputs

RULES = [{"x": rules_for(dtype.as_datatype_enum)} for dtype in DTYPES]
FORMS: tuple[Format, ...] = ("row", "columnar")
FLOATS, DOUBLES = RULES[:2]
LINES = [
    *(b"", b"{", b"[1]", b"{}", b'{"signature_name": 1}', b'{"inputs": ["\xff"]}', b'\xef\xbb\xbf{"inputs": [1]} more'),
    *(b'{"instances": [NaN, Infinity]}', b'{"inputs": ["\\ud800"]}', b'{"signature_name": "s", "inputs": 1}'),
    *(b'{"examples": [{"a": 1, "b": [0.5], "c": "d"}]}', b'{"examples": [{}], "context": {"a": {"b64": "YQ"}}}'),
    *(b'{"examples": []}', b'{"examples": [{"a": null}]}', b'{"examples": [{"\xff": 1}]}', b'{"examples": [1]}'),
    *(b'{"instances": ' + b"[" * 70 + b"]" * 70 + b"}", b"[" * 100_000),
]


@pytest.fixture(scope="module")
def bodies() -> Iterator[LargeBodies]:
    """Converts every body in another process."""
    bodies = LargeBodies(large_bytes=-1)
    bodies.write({"y": np.array([1.5])}, "row")  # starts the process
    yield bodies
    bodies.close()


def converters() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if "serving.rest_json.worker" in each.cmdline()]


def outcome(run: Callable[[], Any]) -> Any:
    try:
        return run()
    except ServingError as error:
        return error.code, error.message


def tensors(document: Document, rules: dict[str, Any]) -> Any:
    arrays, request_format = document.tensors(rules)
    return request_format, {name: (repr(each.tolist()), each.dtype, each.shape) for name, each in arrays.items()}


def examples(document: Document) -> bytes:
    request_input = input_pb2.Input()
    document.examples(request_input)
    return request_input.SerializeToString(deterministic=True)


def remote(bodies: LargeBodies, body: bytes, read: Callable[[Document], Any]) -> Any:
    def run() -> Any:
        with bodies.parsed([body[:5], body[5:]]) as document:
            return document.signature_name, read(document)

    return outcome(run)


def local(body: bytes, read: Callable[[Document], Any]) -> Any:
    def run() -> Any:
        document = ParsedDocument(body)
        return document.signature_name, read(document)

    return outcome(run)


@given(value=VALUES, rules=st.sampled_from(RULES), key=st.sampled_from(["inputs", "instances"]))
def test_tensors_and_errors_are_those_of_small_bodies(
    bodies: LargeBodies, value: Any, rules: dict[str, Any], key: str
) -> None:
    body = json.dumps({key: value}).encode()
    assert remote(bodies, body, lambda each: tensors(each, rules)) == local(body, lambda each: tensors(each, rules))


@pytest.mark.parametrize("body", LINES, ids=lambda body: repr(body[:20]))
def test_documents_are_those_of_small_bodies(bodies: LargeBodies, body: bytes) -> None:
    for read in (lambda each: tensors(each, FLOATS), examples):
        assert remote(bodies, body, read) == local(body, read)
    assert remote(bodies, body, lambda each: each.encoding_error("d").message) == local(
        body, lambda each: each.encoding_error("d").message
    )


@pytest.mark.parametrize("dtype", [*DTYPES, tf.bfloat16, tf.int8], ids=lambda dtype: dtype.name)
def test_responses_are_those_of_small_bodies(bodies: LargeBodies, dtype: tf.DType) -> None:
    for seed, shape in enumerate([[0], [3], [20, 30], [4, 0, 2], [9000]]):
        raw = np.random.default_rng(seed).integers(0, 256, int(np.prod(shape)) * max(dtype.size, 1), np.uint8)
        array = raw.view(dtype.as_numpy_dtype) if dtype != tf.string else raw.astype(str)
        array = array.astype(bytes).astype(object) if dtype == tf.string else array
        outputs = {"y": array.reshape(shape), "y_bytes": array.reshape(shape)[..., np.newaxis]}
        for form in FORMS:
            written = outcome(functools.partial(bodies.write, outputs, form))
            expected = outcome(functools.partial(write_outputs, outputs, form))
            assert written == expected
    assert outcome(lambda: bodies.write({"y": np.array(1.0)}, "row")) == outcome(
        lambda: write_outputs({"y": np.array(1.0)}, "row")
    )


def test_small_bodies_need_no_process() -> None:
    bodies = LargeBodies()
    before = converters()
    with bodies.parsed([b'{"inputs": [1]}']) as document:
        assert document.tensors(FLOATS)[0]["x"].tolist() == [1]
    assert bodies.write({"y": np.array([1.5])}, "row") == write_outputs({"y": np.array([1.5])}, "row")
    assert converters() == before


def test_process_is_small_is_used_again_and_ends_with_the_server() -> None:
    bodies = LargeBodies()
    before = converters()
    body = json.dumps({"inputs": [[0.123456789] * 100] * 1000}).encode()
    sizes = []
    for _ in range(6):
        with bodies.parsed([body]) as document:
            outputs, _ = document.tensors(DOUBLES)
        assert len(bodies.write(outputs, "row")) > len(body)
        [process] = [each for each in converters() if each not in before]
        sizes.append(process.memory_info().rss)
    assert "tensorflow" not in Path(f"/proc/{process.pid}/maps").read_text()
    assert sizes[-1] - sizes[0] < 4 * len(body)
    process.send_signal(signal.SIGTERM)  # an init system may send it to all processes of the server
    assert process.is_running()
    bodies.close()
    assert not process.is_running()


def test_another_process_replaces_one_that_was_killed(bodies: LargeBodies) -> None:
    body = b'{"inputs": [1]}'
    message = (
        "The process that converts large bodies was killed (SIGKILL; check whether the machine runs out of memory)."
    )

    def kill(document: Document) -> Any:
        for each in converters():
            os.kill(each.pid, signal.SIGKILL)
        return tensors(document, FLOATS)

    assert remote(bodies, body, kill) == (Code.INTERNAL, message)
    assert remote(bodies, body, lambda each: tensors(each, FLOATS)) == local(body, lambda each: tensors(each, FLOATS))
    for each in converters():  # while it is idle
        each.kill()
        each.wait()
    assert remote(bodies, body, lambda each: tensors(each, FLOATS)) == local(body, lambda each: tensors(each, FLOATS))
