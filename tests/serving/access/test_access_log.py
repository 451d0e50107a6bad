import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from absl import logging as absl_logging
from server_process import Embedded, predict_request, wait_for_stack

from serving.__main__ import main
from serving.access.access_log import AccessLog
from serving.current_call import new_call

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PREDICT = "/tensorflow.serving.PredictionService/Predict"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_call_is_logged_and_its_ids_are_handed_on(
    embed: Callable[..., Embedded], tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/7").symlink_to(tiny)
    collector = f"log_collector_config {{ type: 'jsonl' filename_prefix: '{tmp_path / 'requests'}' }}"
    (tmp_path / "models").write_text(
        f"model_config_list {{ config {{ name: 'tiny' base_path: '{tmp_path / 'tiny'}' model_platform: 'tensorflow' "
        f"logging_config {{ {collector} sampling_config {{ sampling_rate: 1.0 }} }} }} }}"
    )
    log = tmp_path / "access"
    server = embed(f"--model_config_file={tmp_path / 'models'}", f"--access_log_file={log}")

    def wait_for_lines(count: int) -> None:
        server.wait_for(lambda: len(log.read_text().splitlines()) == count)

    request = predict_request("tiny", np.array([1], np.float32))
    sent = (("x-request-id", "grpc-1"), ("traceparent", TRACE))
    _, call = server.prediction.Predict.with_call(request, metadata=sent, timeout=30)
    for metadata in (call.initial_metadata(), call.trailing_metadata()):
        assert set(sent) <= set(metadata)
    wait_for_lines(1)
    request.model_spec.signature_name = "absent"
    with pytest.raises(grpc.RpcError) as caught:
        server.prediction.Predict(request, metadata=(("traceparent", TRACE.upper()),), timeout=30)
    replaced = dict(caught.value.trailing_metadata())
    wait_for_lines(2)
    headers = {"X-Request-Id": "rest-1", "traceparent": TRACE}
    path = "/v1/models/tiny:predict?key=secret"
    body = '{"instances": [1.0, 2.0]}'
    status, reply, returned = server.rest_headers("POST", path, body, **headers)
    assert (status, returned["x-request-id"], returned["traceparent"]) == (200, "rest-1", TRACE)
    assert server.rest("GET", "/v1/models/absent")[0] == 404
    wait_for_lines(4)

    first, second, third, fourth = lines(log)
    seconds, peer = first.pop("seconds"), first.pop("peer")
    assert 0 < seconds < 30
    assert peer.startswith("ipv4:127.0.0.1:")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert first.pop("user_agent").startswith("grpc-python")
    assert first.pop("request_bytes") > 10
    assert first.pop("response_bytes") > 10
    assert first == {
        "request_id": "grpc-1",
        "traceparent": TRACE,
        "protocol": "grpc",
        "path": PREDICT,
        "status": "OK",
        "model": "tiny",
        "version": 7,
        "signatures": ["serving_default"],
    }
    assert (second["status"], second["request_id"], second["traceparent"]) == (
        "FAILED_PRECONDITION",
        replaced["x-request-id"],
        replaced["traceparent"],
    )
    assert re.fullmatch("[0-9a-f]{32}", replaced["x-request-id"])
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", replaced["traceparent"])
    assert third["peer"] == "127.0.0.1"
    assert {name: third[name] for name in ("protocol", "method", "path", "status", "model", "version")} == {
        "protocol": "rest",
        "method": "POST",
        "path": "/v1/models/tiny:predict",
        "status": 200,
        "model": "tiny",
        "version": 7,
    }
    assert (third["request_bytes"], third["response_bytes"]) == (len(body), len(reply))
    assert (fourth["status"], fourth["request_id"] != fourth["traceparent"]) == (404, True)
    server.server.handler.close()
    [file] = tmp_path.glob("requests-*.jsonl")
    origins = [record["log_metadata"]["request_origin"] for record in lines(file)]
    assert origins == [f"x-request-id={name} traceparent={TRACE}" for name in ("grpc-1", "rest-1")]


def test_abandoned_and_refused_calls_are_logged(
    embed: Callable[..., Embedded], model_flags: list[str], tmp_path: Path
) -> None:
    (tmp_path / "tokens").write_text("secret")
    log = tmp_path / "access"
    server = embed(*model_flags, f"--access_log_file={log}", f"--bearer_token_file={tmp_path / 'tokens'}")
    wait = predict_request("tiny", np.array([1], np.float32), signature_name="wait")
    call = server.prediction.Predict.future(wait)
    wait_for_stack("Predict", "_run_first")
    call.cancel()
    server.wait_for(lambda: len(log.read_text().splitlines()) == 1)
    late = server.prediction.Predict.future(wait, timeout=0.1)
    assert late.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    server.wait_for(lambda: len(log.read_text().splitlines()) == 2)
    reload = server.channel.unary_unary("/tensorflow.serving.ModelService/HandleReloadConfigRequest")
    with pytest.raises(grpc.RpcError):
        reload(b"", metadata=(("authorization", "Bearer wrong"),), timeout=30)
    server.wait_for(lambda: len(log.read_text().splitlines()) == 3)
    assert [each["status"] for each in lines(log)] == ["CANCELLED", "DEADLINE_EXCEEDED", "UNAUTHENTICATED"]
    assert "wrong" not in log.read_text()
    servable = server.server.handler.manager._models["tiny"].versions[1].servable
    assert servable
    servable.run("release", {"x": np.ones(2, np.float32)}, ["y"])


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (TRACE, True),
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-holds", True),
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more", False),
        (TRACE + "-more", False),
        (TRACE.upper(), False),
        (TRACE[:-1], False),
        (TRACE.replace("00-4", "ff-4"), False),
        ("00-" + "0" * 32 + "-00f067aa0ba902b7-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01", False),
        ("", False),
    ],
)
def test_only_valid_trace_contexts_are_kept(sent: str, kept: bool) -> None:
    assert (new_call([], [sent]).traceparent == sent) is kept
    assert new_call([], [sent, sent]).traceparent != sent


def test_only_one_printable_request_id_is_kept() -> None:
    for sent in (["a b"], ["a\nb"], ["é"], [""], ["x" * 129], ["a", "a"], []):
        assert re.fullmatch("[0-9a-f]{32}", new_call(sent, []).request_id)
    assert new_call(["a/b=1"], []).request_id == "a/b=1"


def test_file_that_was_moved_away_is_created_again(tmp_path: Path) -> None:
    log = AccessLog(str(tmp_path / "access"))
    log.add(new_call(["one"], []), {})
    log._queue.join()
    (tmp_path / "access").rename(tmp_path / "access.1")
    log.add(new_call(["two"], []), {})
    log.close()
    for name, call in (("access.1", "one"), ("access", "two")):
        assert [each["request_id"] for each in lines(tmp_path / name)] == [call]


def test_log_can_be_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    log = AccessLog("-")
    log.add(new_call(["one"], []), {"path": "a\n\x1b[2J\u202e", "empty": ""})
    log.close()
    [line] = capsys.readouterr().out.splitlines()
    assert (json.loads(line)["request_id"], json.loads(line)["path"]) == ("one", "a\n\x1b[2J\u202e")
    assert line.isascii()
    assert line.isprintable(), "a terminal must not obey what a client sends"
    assert "empty" not in line


def test_lines_that_cannot_be_written_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(absl_logging, "error", lambda text, *values: warnings.append(text % values))
    log = AccessLog(str(tmp_path / "access"))
    with monkeypatch.context() as patched:
        patched.setattr(log._handler, "stream", open("/dev/full", "w"))  # noqa: SIM115 - the handler closes it
        patched.setattr(log._handler, "reopenIfNeeded", lambda: None)
        for _ in range(3):
            log.add(new_call([], []), {})
        log._queue.join()
    log.add(new_call(["four"], []), {})
    log.close()
    assert warnings == ["The access log cannot be written: [Errno 28] No space left on device"]
    written = lines(tmp_path / "access")
    assert written[0]["request_id"] == "four"
    assert written[1]["lost"] == 3


def test_log_that_cannot_be_opened_ends_the_server_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model_base_path=/a", "--access_log_file=/absent/log"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line == (
        "error: --access_log_file: /absent/log: No such file or directory; expected a file that can be written, or -"
    )
