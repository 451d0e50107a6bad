from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import pytest
from server_process import Embedded, predict_request, slow_and_quick, wait_for_stack

WAIT = '{"signature_name": "wait", "inputs": [1.0]}'


def test_calls_beyond_the_limit_of_their_model_are_refused_at_once(
    embed: Callable[..., Embedded], tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = embed(slow_and_quick(tmp_path, tiny), "--max_calls_per_model=2")
    monkeypatch.setattr(server.server._rest, "_timeout_seconds", 0.1)
    wait = predict_request("slow", np.array([1], np.float32), signature_name="wait")
    running = server.prediction.Predict.future(wait, timeout=30)
    wait_for_stack("Predict", "_run_first")
    # Its client is gone after 0.1 s, but it runs.
    assert server.rest("POST", "/v1/models/slow:predict", WAIT)[0] == 504

    with pytest.raises(grpc.RpcError) as caught:
        server.predict("slow")
    error = caught.value
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.details() == "model slow has 2 calls already (--max_calls_per_model); try again later"
    assert dict(error.trailing_metadata())["grpc-retry-pushback-ms"] == "1000"
    status, body, headers = server.rest_headers("POST", "/v1/models/slow:predict", '{"instances": [1.0]}')
    assert (status, headers["Retry-After"]) == (429, "1")
    assert b"model slow has 2 calls already" in body
    assert server.predict("quick") == [2.5]
    assert server.json("GET", "/v1/models/slow")[0] == 200
    monkeypatch.setattr(server.server._rest, "_timeout_seconds", 30)
    assert server.json("POST", "/v1/models/quick:predict", {"instances": [1.0]}) == (200, {"predictions": [2.5]})

    servable = server.server.handler.manager._models["slow"].versions[1].servable
    assert servable
    servable.run("release", {"x": np.ones(2, np.float32)}, ["y"])
    assert running.result().outputs["y"].float_val == [1.0]
    server.wait_for(lambda: server.predict("slow") == [2.5])
    server.wait_for(lambda: not server.server._access.limit._calls)
    assert server.json("POST", "/v1/models/slow:predict", {"instances": [1.0]}) == (200, {"predictions": [2.5]})
