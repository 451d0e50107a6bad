import shutil
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from server_process import Client, predict_request
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2
from tiny_models import write_model

from serving.errors import ServingError

LOADS = "/tensorflow/cc/saved_model/load_attempt_count"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("two") / "model", plus=3.0)


@pytest.fixture
def base(tiny: Path, tmp_path: Path) -> Path:
    return folder(tmp_path / "tiny", **{"1": tiny})


@pytest.fixture
def server(embed: Callable[..., Client], base: Path) -> Client:
    return embed("--model_name=tiny", f"--model_base_path={base}", "--max_num_load_retries=0")


def folder(path: Path, **versions: Path) -> Path:
    path.mkdir()
    for number, model in versions.items():
        (path / number).symlink_to(model)
    return path


def request_of(*metrics: str, **models: Any) -> model_management_pb2.ReloadConfigRequest:
    """A reload of models by name: a folder, or a folder and the fields of its config."""
    request = model_management_pb2.ReloadConfigRequest(metric_names=metrics)
    request.config.model_config_list.SetInParent()
    for name, given in models.items():
        path, fields = given if isinstance(given, tuple) else (given, {})
        config = request.config.model_config_list.config.add(
            name=name, base_path=str(path), model_platform="tensorflow"
        )
        config.version_labels.update(fields.get("labels", {}))
        if "versions" in fields:
            config.model_version_policy.specific.versions.extend(fields["versions"])
    return request


def refused(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def test_the_metrics_that_are_named_are_answered_with_what_they_grew_by(
    server: Client, base: Path, two: Path, tmp_path: Path
) -> None:
    other = folder(tmp_path / "other", **{"4": two})
    names = (LOADS, ":tensorflow:serving:request_count", "/no/such/metric", "/tensorflow/serving/request_latency")
    server.predict()
    response = server.models.HandleReloadConfigRequest(request_of(*names, tiny=base, other=other), timeout=30)
    assert response.status.error_code == 0
    grown = {metric.name: metric.int64_value_increase for metric in response.metric}
    assert grown == dict(zip(names, (1, 0, 0, 0), strict=True))
    assert all(metric.WhichOneof("value_increase") == "int64_value_increase" for metric in response.metric)
    assert not server.models.HandleReloadConfigRequest(request_of(tiny=base), timeout=30).metric


def waiting() -> list[str]:
    """The stacks of this process' threads that wait for a model."""
    stacks = ["".join(traceback.format_stack(frame)) for frame in sys._current_frames().values()]
    return [stack for stack in stacks if "wait_available" in stack]


def wait_for_waiting(count: int) -> None:
    end = time.monotonic() + 30
    while len(found := waiting()) != count:
        assert time.monotonic() < end, "\n".join(found)
        time.sleep(0.05)


def test_a_reload_whose_model_has_no_version_ends_with_its_client(
    embed: Callable[..., Client], base: Path, tmp_path: Path
) -> None:
    # Without polls, which would wake those who wait.
    server = embed("--model_name=tiny", f"--model_base_path={base}", "--file_system_poll_wait_seconds=0")
    empty = folder(tmp_path / "empty")
    reload = server.models.HandleReloadConfigRequest
    code, _ = refused(lambda: reload(request_of(tiny=base, empty=empty), timeout=0.5))
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_for_waiting(0)
    gone = reload.future(request_of(tiny=base, another=empty), timeout=60)
    wait_for_waiting(1)
    gone.cancel()
    wait_for_waiting(0)
    assert server.predict() == [2.5]


def test_a_new_version_of_a_known_model_is_not_waited_for(server: Client, base: Path, tmp_path: Path) -> None:
    (tmp_path / "later").mkdir()
    reload = server.models.HandleReloadConfigRequest
    assert reload(request_of(tiny=(base, {"versions": [1, 9]})), timeout=5).status.error_code == 0
    assert reload(request_of(tiny=tmp_path / "later"), timeout=5).status.error_code == 0


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"name": "tiny"}, "INVALID_ARGUMENT", "Illegal to list model tiny multiple times in config list"),
        ({"base_path": "relative"}, "INVALID_ARGUMENT", "to have an absolute path or URI"),
        ({"model_platform": "other"}, "INVALID_ARGUMENT", "Invalid platform 'other' for model new"),
        (
            {"version_labels": {"a": 5}},
            "FAILED_PRECONDITION",
            "version 5 of model new, which is not currently available",
        ),
        ({"base_path": "BROKEN"}, "UNKNOWN", "Some models did not become available: new/1: "),
    ],
)
def test_a_reload_that_cannot_be_served_is_an_error_and_what_was_served_is_served_on(
    server: Client, base: Path, tmp_path: Path, change: dict[str, Any], code: str, said: str
) -> None:
    broken = folder(tmp_path / "broken")
    (broken / "1").mkdir()
    request = request_of(tiny=base, new=base)
    config = request.config.model_config_list.config[1]
    config.MergeFrom(type(config)(**{key: str(broken) if each == "BROKEN" else each for key, each in change.items()}))
    found, text = refused(lambda: server.models.HandleReloadConfigRequest(request, timeout=30))
    assert found == grpc.StatusCode[code]
    assert said in text
    assert server.predict() == [2.5]


def test_only_lists_of_models_are_taken(server: Client) -> None:
    request = model_management_pb2.ReloadConfigRequest()
    request.config.custom_model_config.SetInParent()
    code, text = refused(lambda: server.models.HandleReloadConfigRequest(request, timeout=30))
    assert (code, text[:32]) == (grpc.StatusCode.INVALID_ARGUMENT, "ServerModelConfig type not suppo")


def test_a_version_keeps_its_status_when_a_label_is_asked_for_and_after_its_end(
    server: Client, base: Path, two: Path
) -> None:
    server.models.HandleReloadConfigRequest(request_of(tiny=(base, {"labels": {"stable": 1}})), timeout=30)
    (base / "2").symlink_to(two)
    server.wait_for(lambda: server.states() == {2: "AVAILABLE", 1: "END"})
    assert server.predict() == [3.5]
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name, request.model_spec.version_label = "tiny", "stable"
    found = server.models.GetModelStatus(request, timeout=30).model_version_status
    assert [each.version for each in found] == [2, 1], "the newest first, whatever the label"
    for path in ("/v1/models/tiny", "/v1/models/tiny/labels/stable", "/v1/models/tiny/labels/nothing"):
        status, answer = server.json("GET", path)
        assert status == 200
        assert [each["version"] for each in answer["model_version_status"]] == ["2", "1"]
    assert server.json("GET", "/v1/models/tiny/versions/1")[1]["model_version_status"][0]["state"] == "END"
    assert server.json("GET", "/v1/models/tiny/versions/7") == (
        404,
        {"error": "Could not find version 7 of model tiny"},
    )
    predict = server.prediction.Predict
    code, text = refused(lambda: predict(predict_request("tiny", np.ones(1, np.float32), version_label="stable")))
    assert (code, text) == (grpc.StatusCode.NOT_FOUND, "Servable not found for request: Specific(tiny, 1)")


def test_labels_of_unavailable_versions_need_their_flag(
    embed: Callable[..., Client], base: Path, two: Path, tmp_path: Path
) -> None:
    config = tmp_path / "models"
    config.write_text(
        f"model_config_list {{ config {{ name: 'tiny' base_path: '{base}' model_platform: 'tensorflow' "
        "version_labels { key: 'blue green' value: 1 } version_labels { key: 'next' value: 2 } } }"
    )
    with pytest.raises(ServingError, match=r"version [12] of model tiny, which is not currently available"):
        embed(f"--model_config_file={config}")
    server = embed(f"--model_config_file={config}", "--allow_version_labels_for_unavailable_models")
    labelled = "/v1/models/tiny/labels/blue%20green"
    assert server.json("POST", f"{labelled}:predict", {"instances": [1.0]}) == (200, {"predictions": [2.5]})
    assert server.json("GET", f"{labelled}/metadata")[1]["model_spec"]["version"] == "1"
    assert server.json("POST", "/v1/models/tiny/labels/next:predict", {"instances": [1.0]})[0] == 404
    moved = request_of(tiny=(base, {"labels": {"blue green": 2}}))
    code, _ = refused(lambda: server.models.HandleReloadConfigRequest(moved, timeout=30))
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert server.json("POST", f"{labelled}:predict", {"instances": [1.0]})[0] == 200, "the old map is kept"


def test_without_polls_a_version_is_found_by_a_reload_only(
    embed: Callable[..., Client], base: Path, two: Path, tmp_path: Path
) -> None:
    config = tmp_path / "models"
    text = f"model_config_list {{ config {{ name: 'tiny' base_path: '{base}' model_platform: 'tensorflow' }} }}"
    config.write_text(text)
    server = embed(f"--model_config_file={config}", "--file_system_poll_wait_seconds=0")
    (base / "2").symlink_to(two)
    config.write_text(text.replace("'tiny'", "'renamed'"))
    time.sleep(1.5)
    assert server.states() == {1: "AVAILABLE"}
    server.models.HandleReloadConfigRequest(request_of(tiny=base), timeout=30)
    server.wait_for(lambda: server.predict() == [3.5])


def test_a_version_that_is_mended_between_two_tries_is_loaded(
    embed: Callable[..., Client], base: Path, two: Path, tmp_path: Path
) -> None:
    server = embed(
        "--model_name=tiny",
        f"--model_base_path={base}",
        "--max_num_load_retries=4",
        "--load_retry_interval_micros=300000",
    )
    shutil.copytree(two, tmp_path / "model")
    graph = (tmp_path / "model/saved_model.pb").read_bytes()
    (tmp_path / "model/saved_model.pb").write_bytes(graph[:100])
    (base / "2").symlink_to(tmp_path / "model")
    start = time.monotonic()
    server.wait_for(lambda: server.states().get(2) == "END")
    assert time.monotonic() - start > 4 * 0.3
    assert server.predict() == [2.5]
    (base / "3").symlink_to(tmp_path / "model")
    server.wait_for(lambda: server.states().get(3) == "LOADING")
    (tmp_path / "model/saved_model.pb").write_bytes(graph)
    server.wait_for(lambda: server.predict() == [3.5])
    assert server.states()[2] == "END"
