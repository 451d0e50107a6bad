import dataclasses
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from server_process import Embedded, embedded, models_flag, predict_request
from tiny_models import numbers

from serving.errors import ServingError
from serving.models.batching import Batching
from serving.models.batching_config import version_batching
from serving.models.servable import MAX_CALLABLES, Servable

MERGED = Batching(max_batch_size=8, batch_timeout_micros=200_000, num_batch_threads=1, allowed_batch_sizes=(8,))


def write_counting(path: Path) -> Path:
    """Writes a model that returns the number of rows in its batch."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def run(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x * 2, "rows": tf.fill(tf.shape(x), tf.shape(x)[0])}

    tf.saved_model.save(module, str(path), signatures=run)
    return path


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_counting(tmp_path_factory.mktemp("counting") / "model")


def together(works: list[Callable[[], Any]]) -> list[Any]:
    """Runs functions concurrently, and returns their results or errors in order."""
    results: list[Any] = [None] * len(works)

    def do(place: int) -> None:
        try:
            results[place] = works[place]()
        except ServingError as error:
            results[place] = error

    threads = [threading.Thread(target=do, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def ask_together(servable: Servable, requests: list[list[float]]) -> list[dict[str, list[float]]]:
    """Sends requests concurrently, and returns the outputs in order."""
    servable.run("serving_default", {"x": np.zeros(1, np.float32)}, ["rows", "y"])  # prepares the graph

    def ask(request: list[float]) -> dict[str, list[float]]:
        found = servable.run("serving_default", {"x": np.array(request, np.float32)}, ["rows", "y"])
        return {name: array.tolist() for name, array in found.items()}

    return together([lambda request=request: ask(request) for request in requests])  # type: ignore[misc]


def test_concurrent_requests_are_merged_and_split_again(counting: Path) -> None:
    requests = [[1.0], [2.0, 3.0], [4.0], [5.0, 6.0, 7.0]]
    results = ask_together(Servable("counting", 1, counting, MERGED), requests)
    assert [answer["y"] for answer in results] == [[2 * each for each in request] for request in requests]
    assert any(answer["rows"][0] == 8 for answer in results), "no batch was padded to the allowed size"


def test_without_batching_each_request_is_run_separately(counting: Path) -> None:
    results = ask_together(Servable("counting", 1, counting), [[1.0], [2.0, 3.0]])
    assert [answer["rows"] for answer in results] == [[1], [2, 2]]


def test_request_over_the_maximum_batch_size_is_rejected_unless_split(counting: Path) -> None:
    large = {"x": np.arange(20, dtype=np.float32)}
    with pytest.raises(ServingError) as caught:
        Servable("counting", 1, counting, MERGED).run("serving_default", large, ["y"])
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT
    splitting = Batching(max_batch_size=64, enable_large_batch_splitting=True, max_execution_batch_size=8)
    found = Servable("counting", 1, counting, splitting).run("serving_default", large, ["rows", "y"])
    assert max(found["rows"]) == 8
    assert found["y"].tolist() == (large["x"] * 2).tolist()


@pytest.fixture(scope="module")
def batched(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A server with batches of up to 16 rows."""
    folder = tmp_path_factory.mktemp("batched")
    (folder / "base").mkdir()
    (folder / "base/1").symlink_to(tiny)
    (folder / "batching").write_text("max_batch_size { value: 16 } batch_timeout_micros { value: 1000 }")
    server = embedded(
        folder,
        "--model_name=tiny",
        f"--model_base_path={folder / 'base'}",
        "--enable_batching",
        f"--batching_parameters_file={folder / 'batching'}",
    )
    server.server.start()
    yield server
    server.stop()


def test_error_in_a_batch_is_returned_to_its_request(batched: Embedded) -> None:
    server = batched
    assert server.predict() == [2.5]
    with pytest.raises(grpc.RpcError) as caught:
        server.prediction.Predict(predict_request("tiny", np.zeros(17, np.float32)))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert server.json("POST", "/v1/models/tiny:predict", {"instances": [1.0, 2.0]}) == (
        200,
        {"predictions": [2.5, 3.0]},
    )


def test_signature_that_returns_a_scalar_is_not_batched(batched: Embedded) -> None:
    scalar = {"signature_name": "scalar", "inputs": [1.0, 2.0]}
    assert batched.json("POST", "/v1/models/tiny:predict", scalar) == (200, {"outputs": 3.0})


def test_error_of_the_batching_operation_names_inputs_and_no_nodes(batched: Embedded) -> None:
    body = {"signature_name": "two", "inputs": {"x": [1.0, 2.0], "s": ["a"]}}
    status, answer = batched.json("POST", "/v1/models/tiny:predict", body)
    assert (status, answer["error"]) == (
        400,
        "Inputs differ in their number of rows: s has 1, x has 2. Batching input tensors supplied in a given op "
        "invocation must have equal 0th-dimension size.",
    )


def test_batch_without_rows_keeps_its_shape(batched: Embedded) -> None:
    examples = predict_request("tiny", np.array([], object), "inputs", signature_name="classify")
    for _ in range(2):
        outputs = batched.prediction.Predict(examples, timeout=30).outputs
        shapes = {name: [each.size for each in tensor.tensor_shape.dim] for name, tensor in outputs.items()}
        assert shapes == {"classes": [0, 2], "scores": [0, 2]}


@pytest.fixture(scope="module")
def varying(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that returns its inputs, whose rows may have any size, and the number of rows in its batch."""
    module = tf.Module()
    specs = [tf.TensorSpec([None, None], tf.float32, "x"), tf.TensorSpec([None, None, None], tf.string, "s")]
    specs += [tf.TensorSpec([None, None], tf.bool, "b"), tf.TensorSpec([None, 1], tf.int64, "i")]

    @tf.function(input_signature=specs)
    def run(x: tf.Tensor, s: tf.Tensor, b: tf.Tensor, i: tf.Tensor) -> dict[str, tf.Tensor]:
        same = {"x": tf.identity(x), "s": tf.identity(s), "b": tf.identity(b), "i": tf.identity(i)}
        return same | {"rows": tf.fill([tf.shape(x)[0]], tf.shape(x)[0])}

    path = tmp_path_factory.mktemp("varying") / "model"
    tf.saved_model.save(module, str(path), signatures=run)
    return path


def varied(x: Any, s: Any, b: Any, i: Any) -> dict[str, np.ndarray[Any, Any]]:
    return {
        "x": np.array(x, np.float32),
        "s": np.array(s, object),
        "b": np.array(b, bool),
        "i": np.array(i, np.int64),
    }


ONE = varied([[1, 2, 3]], [[[b"a"], [b"b"]]], [[True]], [[7]])
OTHER = varied([[4], [5]], [[[b"c", b"d"]], [[b"e", b"f"]]], [[False, True], [True, True]], [[8], [9]])
EMPTY = varied(np.zeros([1, 0]), [[[b"g"]]], [[True]], [[10]])


def ask_varied(servable: Servable, requests: list[dict[str, np.ndarray[Any, Any]]]) -> list[Any]:
    names = ["x", "s", "b", "i", "rows"]
    servable.run("serving_default", ONE, names)  # prepares the graph
    return together([lambda request=request: servable.run("serving_default", request, names) for request in requests])  # type: ignore[misc]


def test_rows_are_padded_with_the_first_value_of_their_request(varying: Path) -> None:
    padding = dataclasses.replace(MERGED, pad_variable_length_inputs=True)
    first, second, third = ask_varied(Servable("varying", 1, varying, padding), [ONE, OTHER, EMPTY])
    assert {first["rows"][0], second["rows"][0], third["rows"][0]} == {8}
    assert first["x"].tolist() == [[1, 2, 3]]
    assert first["s"].tolist() == [[[b"a", b"a"], [b"b", b"a"]]]
    assert first["b"].tolist() == [[True, True]]
    assert second["x"].tolist() == [[4, 4, 4], [5, 4, 4]]
    assert second["s"].tolist() == [[[b"c", b"d"], [b"c", b"c"]], [[b"e", b"f"], [b"c", b"c"]]]
    assert second["b"].tolist() == [[False, True], [True, True]]
    assert second["i"].tolist() == [[8], [9]]
    assert third["x"].tolist() == [[0, 0, 0]]


def test_large_request_with_variable_rows_is_split(varying: Path) -> None:
    splitting = Batching(
        max_batch_size=64,
        enable_large_batch_splitting=True,
        max_execution_batch_size=4,
        pad_variable_length_inputs=True,
    )
    large = varied(np.arange(20).reshape(10, 2), [[[b"a"]]] * 10, [[True]] * 10, np.arange(10)[:, np.newaxis])
    found = Servable("varying", 1, varying, splitting).run("serving_default", large, ["x", "i", "rows"])
    assert found["x"].tolist() == large["x"].tolist()
    assert found["i"].tolist() == large["i"].tolist()
    assert max(found["rows"]) == 4


def test_rows_of_different_sizes_cannot_be_merged_without_padding(varying: Path) -> None:
    results = ask_varied(Servable("varying", 1, varying, MERGED), [ONE, OTHER])
    assert [type(answer) for answer in results] == [ServingError, ServingError]
    assert ask_varied(Servable("varying", 1, varying), [ONE, OTHER])[1]["x"].tolist() == [[4], [5]]


def test_requests_beyond_the_queue_are_rejected(tiny: Path) -> None:
    parameters = Batching(max_batch_size=1, max_enqueued_batches=1, num_batch_threads=1)
    servable = Servable("tiny", 1, tiny, parameters)
    servable.run("release", numbers(1), ["y"])
    servable.run("wait", numbers(1), ["y"])  # prepares the graph
    rejected: list[grpc.StatusCode] = []
    accepted: list[float] = []

    def wait() -> None:
        try:
            accepted.append(servable.run("wait", numbers(1), ["y"])["y"][0])
        except ServingError as error:
            rejected.append(error.code)

    threads = [threading.Thread(target=wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 30
    while not rejected and time.monotonic() < deadline:
        time.sleep(0.01)
    for _ in threads:
        servable.run("release", numbers(1), ["y"])
    for thread in threads:
        thread.join()
    assert 0 < len(rejected) < 8
    assert set(rejected) == {grpc.StatusCode.UNAVAILABLE}
    assert accepted == [1.0] * (8 - len(rejected))


def test_full_queue_is_unavailable_in_both_protocols(
    embed: Callable[..., Embedded], tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/1").symlink_to(tiny)
    names = ("max_batch_size", "max_enqueued_batches", "num_batch_threads")
    (tmp_path / "batching").write_text(" ".join(f"{name} {{ value: 1 }}" for name in names))
    server = embed(
        "--model_name=tiny",
        f"--model_base_path={tmp_path / 'base'}",
        "--enable_batching",
        f"--batching_parameters_file={tmp_path / 'batching'}",
    )
    wait, release = (
        predict_request("tiny", np.array([1], np.float32), signature_name=name) for name in ("wait", "release")
    )
    server.prediction.Predict(release)
    server.prediction.Predict(wait)  # prepares the graph
    calls = [server.prediction.Predict.future(wait) for _ in range(6)]
    server.wait_for(lambda: any(call.done() for call in calls))  # rejected, since one runs and one is in the queue
    status, document = server.json("POST", "/v1/models/tiny:predict", {"signature_name": "wait", "inputs": [1.0]})
    assert (status, list(document)) == (503, ["error"])
    for _ in calls:
        server.prediction.Predict(release)
    assert {call.code() for call in calls} == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}


def test_first_requests_of_a_version_are_merged(embed: Callable[..., Embedded], counting: Path, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/1").symlink_to(counting)
    (tmp_path / "batching").write_text("max_batch_size { value: 8 } batch_timeout_micros { value: 5000000 }")
    server = embed(
        "--model_name=counting",
        f"--model_base_path={tmp_path / 'base'}",
        "--enable_batching",
        f"--batching_parameters_file={tmp_path / 'batching'}",
    )
    calls = [server.prediction.Predict.future(predict_request("counting", np.ones(1, np.float32))) for _ in range(8)]
    assert [list(call.result(30).outputs["rows"].int_val) for call in calls] == [[8]] * 8


def test_time_in_the_queue_is_reported(counting: Path) -> None:
    seconds: list[float] = []
    parameters = Batching(max_batch_size=8, batch_timeout_micros=150_000, num_batch_threads=1)
    servable = Servable("counting", 1, counting, parameters, seconds.append)
    start = time.monotonic()
    for _ in range(2):
        servable.run("serving_default", {"x": np.zeros(1, np.float32)}, ["y"])
    assert len(seconds) == 2
    assert 0.1 < seconds[1] <= time.monotonic() - start


def test_number_of_callables_is_limited(counting: Path) -> None:
    servable = Servable("counting", 1, counting)
    assert MAX_CALLABLES >= 64
    servable._callables.update({("serving_default", (str(number),)): None for number in range(MAX_CALLABLES)})  # type: ignore[misc]
    for outputs in (["y"], ["rows"], ["rows", "y"]) * 2:
        found = servable.run("serving_default", {"x": np.ones(1, np.float32)}, outputs)
        assert sorted(found) == sorted(outputs)
    assert len(servable._callables) == MAX_CALLABLES


def test_version_can_have_its_own_batching_parameters(
    embed: Callable[..., Embedded], counting: Path, tmp_path: Path
) -> None:
    """A version without such a file is not batched. The number of threads is always the server's."""
    for name, own in (("alone", ""), ("own", "max_batch_size { value: 4 } allowed_batch_sizes: 4")):
        folder = tmp_path / name / "1"
        shutil.copytree(counting, folder)
        if own:
            (folder / "batching_params.pbtxt").write_text(own)
    (tmp_path / "monitoring").write_text("prometheus_config { enable: true path: '/numbers' }")
    (tmp_path / "common").write_text("max_batch_size { value: 100 } allowed_batch_sizes: 100")
    server = embed(
        models_flag(tmp_path, "alone", "own"),
        f"--monitoring_config_file={tmp_path / 'monitoring'}",
        "--enable_batching",
        f"--batching_parameters_file={tmp_path / 'common'}",
        "--enable_per_model_batching_parameters",
    )
    rows = {name: server.json("POST", f"/v1/models/{name}:predict", {"inputs": [1.0]})[1] for name in ("alone", "own")}
    assert {name: answer["outputs"]["rows"] for name, answer in rows.items()} == {"alone": [1], "own": [4]}
    page = server.rest("GET", "/numbers")[1].decode()
    assert ':tensorflow:serving:batching_session:queuing_latency_count{thread_pool_name=""} 1\n' in page


def test_own_batching_parameters_use_the_servers_threads(tmp_path: Path) -> None:
    common = Batching(max_batch_size=100, num_batch_threads=7, pad_variable_length_inputs=True)
    assert version_batching(tmp_path, common) is None
    (tmp_path / "batching_params.pbtxt").write_text("max_batch_size { value: 4 } num_batch_threads { value: 3 }")
    assert version_batching(tmp_path, common) == Batching(max_batch_size=4, num_batch_threads=7)
