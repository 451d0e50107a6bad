import threading
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from server_process import Server, predict_request

from serving.batching import Batching
from serving.errors import ServingError
from serving.servable import Servable

MERGED = Batching(max_batch_size=8, batch_timeout_micros=200_000, num_batch_threads=1, allowed_batch_sizes=(8,))


def write_counting(path: Path) -> Path:
    """A model that gives the rows of the batch that it was run over."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def run(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x * 2, "rows": tf.fill(tf.shape(x), tf.shape(x)[0])}

    tf.saved_model.save(module, str(path), signatures=run)
    return path


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_counting(tmp_path_factory.mktemp("counting") / "model")


def ask_together(servable: Servable, requests: list[list[float]]) -> list[dict[str, list[float]]]:
    """All requests at the same time; the answers in their order."""
    servable.run("serving_default", {"x": np.zeros(1, np.float32)}, ["rows", "y"])  # the first one prepares the graph
    answers: list[dict[str, list[float]]] = [{} for _ in requests]

    def ask(place: int) -> None:
        found = servable.run("serving_default", {"x": np.array(requests[place], np.float32)}, ["rows", "y"])
        answers[place] = {name: array.tolist() for name, array in found.items()}

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_requests_at_the_same_time_become_one_batch_and_come_back_apart(counting: Path) -> None:
    requests = [[1.0], [2.0, 3.0], [4.0], [5.0, 6.0, 7.0]]
    answers = ask_together(Servable("counting", 1, counting, MERGED), requests)
    assert [answer["y"] for answer in answers] == [[2 * each for each in request] for request in requests]
    assert any(answer["rows"][0] == 8 for answer in answers), "no batch was padded to the size that is allowed"


def test_without_batching_each_request_is_run_on_its_own(counting: Path) -> None:
    answers = ask_together(Servable("counting", 1, counting), [[1.0], [2.0, 3.0]])
    assert [answer["rows"] for answer in answers] == [[1], [2, 2]]


def test_a_request_beyond_the_largest_batch_is_refused_unless_it_may_be_split(counting: Path) -> None:
    large = {"x": np.arange(20, dtype=np.float32)}
    with pytest.raises(ServingError) as caught:
        Servable("counting", 1, counting, MERGED).run("serving_default", large, ["y"])
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT
    splitting = Batching(max_batch_size=64, enable_large_batch_splitting=True, max_execution_batch_size=8)
    found = Servable("counting", 1, counting, splitting).run("serving_default", large, ["rows", "y"])
    assert max(found["rows"]) == 8
    assert found["y"].tolist() == (large["x"] * 2).tolist()


def test_what_a_request_of_a_batch_gets_wrong_is_told_to_it(
    serve: Callable[..., Server], tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/1").symlink_to(tiny)
    parameters = tmp_path / "batching"
    parameters.write_text("max_batch_size { value: 16 } batch_timeout_micros { value: 1000 }")
    server = serve(
        "--model_name=tiny",
        f"--model_base_path={tmp_path / 'base'}",
        "--enable_batching",
        f"--batching_parameters_file={parameters}",
    )
    assert server.predict() == [2.5]
    with pytest.raises(grpc.RpcError) as caught:
        server.prediction.Predict(predict_request("tiny", np.zeros(17, np.float32)))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert server.json("POST", "/v1/models/tiny:predict", {"instances": [1.0, 2.0]}) == (
        200,
        {"predictions": [2.5, 3.0]},
    )
    scalar = {"signature_name": "scalar", "inputs": [1.0, 2.0]}
    assert server.json("POST", "/v1/models/tiny:predict", scalar)[0] == 400  # no rows to give back apart
