import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from server_process import Embedded, predict_request, wait_for_stack
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2
from tiny_models import write_adding_model

from serving.errors import ServingError

LOADS = "/tensorflow/cc/saved_model/load_attempt_count"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adding_model(tmp_path_factory.mktemp("two") / "model", plus=3.0)


@pytest.fixture
def base(tiny: Path, tmp_path: Path) -> Path:
    return folder(tmp_path / "tiny", **{"1": tiny})


@pytest.fixture
def server(embed: Callable[..., Embedded], base: Path) -> Embedded:
    return embed("--model_name=tiny", f"--model_base_path={base}", "--max_num_load_retries=0")


def folder(path: Path, **versions: Path) -> Path:
    path.mkdir()
    for number, model in versions.items():
        (path / number).symlink_to(model)
    return path


def request_of(*metrics: str, **models: Any) -> model_management_pb2.ReloadConfigRequest:
    """Returns a reload request. Each model is given as a folder, or as a folder and fields of its config."""
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


def test_reload_returns_the_increase_of_the_named_metrics(
    server: Embedded, base: Path, two: Path, tmp_path: Path
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


def test_reload_ends_when_its_client_disconnects(embed: Callable[..., Embedded], base: Path, tmp_path: Path) -> None:
    # Without polling, which would wake waiting threads.
    server = embed("--model_name=tiny", f"--model_base_path={base}", "--file_system_poll_wait_seconds=0")
    empty = folder(tmp_path / "empty")
    reload = server.models.HandleReloadConfigRequest
    code, _ = refused(lambda: reload(request_of(tiny=base, empty=empty), timeout=0.5))
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_for_stack("wait_available", count=0)
    call = reload.future(request_of(tiny=base, another=empty), timeout=60)
    wait_for_stack("wait_available")
    call.cancel()
    wait_for_stack("wait_available", count=0)
    assert server.predict() == [2.5]


def test_reload_does_not_wait_for_new_versions_of_known_models(server: Embedded, base: Path, tmp_path: Path) -> None:
    (tmp_path / "later").mkdir()
    reload = server.models.HandleReloadConfigRequest
    assert reload(request_of(tiny=(base, {"versions": [1, 9]})), timeout=5).status.error_code == 0
    assert reload(request_of(tiny=tmp_path / "later"), timeout=5).status.error_code == 0


@pytest.mark.parametrize(
    ("change", "code", "message"),
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
def test_rejected_reload_keeps_the_current_models(
    server: Embedded, base: Path, tmp_path: Path, change: dict[str, Any], code: str, message: str
) -> None:
    broken = folder(tmp_path / "broken")
    (broken / "1").mkdir()
    request = request_of(tiny=base, new=base)
    config = request.config.model_config_list.config[1]
    config.MergeFrom(type(config)(**{key: str(broken) if each == "BROKEN" else each for key, each in change.items()}))
    found, text = refused(lambda: server.models.HandleReloadConfigRequest(request, timeout=30))
    assert found == grpc.StatusCode[code]
    assert message in text
    assert server.predict() == [2.5]


def test_reload_accepts_only_a_model_config_list(server: Embedded) -> None:
    request = model_management_pb2.ReloadConfigRequest()
    request.config.custom_model_config.SetInParent()
    code, text = refused(lambda: server.models.HandleReloadConfigRequest(request, timeout=30))
    assert (code, text[:32]) == (grpc.StatusCode.INVALID_ARGUMENT, "ServerModelConfig type not suppo")


def test_status_ignores_labels_and_lists_ended_versions(server: Embedded, base: Path, two: Path) -> None:
    server.models.HandleReloadConfigRequest(request_of(tiny=(base, {"labels": {"stable": 1}})), timeout=30)
    (base / "2").symlink_to(two)
    server.poll()
    server.wait_for(lambda: server.states() == {2: "AVAILABLE", 1: "END"})
    assert server.predict() == [3.5]
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name, request.model_spec.version_label = "tiny", "stable"
    found = server.models.GetModelStatus(request, timeout=30).model_version_status
    assert [each.version for each in found] == [2, 1], "newest first, regardless of the label"
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
    embed: Callable[..., Embedded], base: Path, two: Path, tmp_path: Path
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
    assert server.json("POST", f"{labelled}:predict", {"instances": [1.0]})[0] == 200, "the old labels are kept"


def test_without_polling_only_a_reload_finds_new_versions(
    embed: Callable[..., Embedded], base: Path, two: Path, tmp_path: Path
) -> None:
    config = tmp_path / "models"
    text = f"model_config_list {{ config {{ name: 'tiny' base_path: '{base}' model_platform: 'tensorflow' }} }}"
    config.write_text(text)
    wait_for_stack("repeat_until_stopped", count=0)
    server = embed(f"--model_config_file={config}", "--file_system_poll_wait_seconds=0")
    wait_for_stack("repeat_until_stopped", count=0)
    (base / "2").symlink_to(two)
    config.write_text(text.replace("'tiny'", "'renamed'"))
    assert server.states() == {1: "AVAILABLE"}
    server.models.HandleReloadConfigRequest(request_of(tiny=base), timeout=30)
    server.wait_for(lambda: server.predict() == [3.5])


def test_version_fixed_between_two_attempts_is_loaded(
    embed: Callable[..., Embedded], base: Path, two: Path, tmp_path: Path
) -> None:
    server = embed(
        "--model_name=tiny",
        f"--model_base_path={base}",
        "--max_num_load_retries=4",
        "--load_retry_interval_micros=200000",
    )
    shutil.copytree(two, tmp_path / "model")
    graph = (tmp_path / "model/saved_model.pb").read_bytes()
    (tmp_path / "model/saved_model.pb").write_bytes(graph[:100])
    (base / "2").symlink_to(tmp_path / "model")
    start = time.monotonic()
    server.poll()
    server.wait_for(lambda: server.states().get(2) == "END")
    assert time.monotonic() - start > 4 * 0.2
    assert server.predict() == [2.5]
    (base / "3").symlink_to(tmp_path / "model")
    server.poll()
    server.wait_for(lambda: server.states().get(3) == "LOADING")
    (tmp_path / "model/saved_model.pb").write_bytes(graph)
    server.wait_for(lambda: server.predict() == [3.5])
    assert server.states()[2] == "END"
