import http.client
import json
from typing import Any

import grpc
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server_process import Server

RANDOM_REQUESTS = 10_000
LEAK_BYTES = 150_000_000


@pytest.fixture(scope="module")
def server(shared_server: Server) -> Server:
    return shared_server


RAW = st.binary(min_size=1, max_size=3).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
TEXTS = st.text(max_size=5) | RAW
KEYS = st.sampled_from(["instances", "inputs", "signature_name", "examples", "context", "x", "s", "b64"]) | TEXTS
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.sampled_from(["two", "scalar", "regress"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
EXAMPLES = st.fixed_dictionaries({"examples": st.lists(st.dictionaries(KEYS, VALUES, max_size=2), max_size=2)})


def as_body(value: Any, escaped: bool) -> bytes:
    """Returns a value as JSON, with the bytes of :data:`RAW` unchanged or escaped as lone surrogates."""
    return json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogateescape")


BODIES = st.builds(as_body, st.dictionaries(KEYS, VALUES, max_size=3) | EXAMPLES, st.booleans()) | st.binary(
    max_size=40
)
PATHS = st.sampled_from(
    [
        "/v1/models/tiny:predict",
        "/v1/models/tiny:classify",
        "/v1/models/tiny:regress",
        "/v1/models/tiny/versions/3:predict",
    ]
)


@pytest.mark.slow
def test_ten_thousand_random_requests_get_a_response_and_leak_no_memory(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=30)
    process = psutil.Process(server.process.pid)
    statuses: dict[int, int] = {}
    memory: list[int] = []

    @settings(max_examples=RANDOM_REQUESTS, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(path=PATHS, body=BODIES)
    def ask(path: str, body: bytes) -> None:
        connection.request("POST", path, body)
        response = connection.getresponse()
        content = response.read()
        statuses[response.status] = statuses.get(response.status, 0) + 1
        if sum(statuses.values()) % 2000 == 1000:
            memory.append(process.memory_info().rss)
        assert response.status in (200, 400, 501), (response.status, content, body)
        if response.status != 200:
            assert list(json.loads(content)) == ["error"]

    ask()
    assert sum(statuses.values()) >= RANDOM_REQUESTS
    assert memory[-1] - memory[0] < LEAK_BYTES
    assert server.json("POST", "/v1/models/tiny:predict", {"instances": [1.0]}) == (200, {"predictions": [2.5]})


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(message=st.binary(max_size=60), method=st.sampled_from(["Predict", "Classify", "Regress", "MultiInference"]))
def test_random_bytes_over_grpc_are_rejected_and_the_next_request_is_handled(
    server: Server, message: bytes, method: str
) -> None:
    call = server.channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}")
    with pytest.raises(grpc.RpcError) as caught:
        call(message, timeout=30)
    assert caught.value.code() in (
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INTERNAL,  # from gRPC itself, for a malformed message
    )
    assert server.predict() == [2.5]
