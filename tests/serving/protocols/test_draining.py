"""What clients see of a server that is about to stop."""

import http.client
import threading
from collections.abc import Callable

from grpc_health.v1 import health_pb2, health_pb2_grpc
from server_process import Embedded

from serving.protocols import grpc_server

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
HEALTH = ("--enable_grpc_healthcheck_service", "--enable_rest_health_checks")


def test_open_connections_learn_that_the_server_stops(embed: Callable[..., Embedded], model_flags: list[str]) -> None:
    server = embed(*model_flags, *HEALTH)
    watch = health_pb2_grpc.HealthStub(server.channel).Watch(health_pb2.HealthCheckRequest())
    assert next(watch).status == SERVING
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=30)

    def get(path: str) -> tuple[int, bytes]:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()

    assert get("/livez") == get("/readyz") == (200, b'{"status": "SERVING"}')
    stop = threading.Thread(target=server.server.stop)
    stop.start()
    assert next(watch).status == NOT_SERVING
    assert get("/readyz") == (503, b'{"status": "NOT_SERVING"}')
    connection.close()
    server.wait_for(lambda: not watch.is_active(), grpc_server.DRAIN_SECONDS / 2)  # the server does not wait for it
    server.channel.close()
    stop.join(grpc_server.DRAIN_SECONDS / 2)
    assert not stop.is_alive()


def test_lame_duck_accepts_connections_and_calls(embed: Callable[..., Embedded], model_flags: list[str]) -> None:
    server = embed(*model_flags, *HEALTH, "--lame_duck_seconds=60")
    stop = threading.Thread(target=server.server.stop)
    stop.start()
    server.wait_for(lambda: server.rest("GET", "/readyz")[0] == 503)
    assert server.rest("GET", "/livez")[0] == 200
    health = health_pb2_grpc.HealthStub(server.channel)
    for name in ("", "ModelService", "PredictionService"):
        assert health.Check(health_pb2.HealthCheckRequest(service=name), timeout=30).status == NOT_SERVING
    assert server.predict() == [2.5]
    assert server.json("POST", "/v1/models/tiny:predict", {"instances": [1.0]}) == (200, {"predictions": [2.5]})
    server.channel.close()
    server.server.end_lame_duck()
    stop.join(30)
    assert not stop.is_alive()


def test_rest_health_checks_are_off_by_default(embed: Callable[..., Embedded], model_flags: list[str]) -> None:
    assert embed(*model_flags).rest("GET", "/readyz")[0] == 404
