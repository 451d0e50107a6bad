import threading
from collections.abc import Callable

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from server_process import Embedded, wait_for_stack

from serving.protocols import grpc_server, grpc_streams

SERVICES = {
    "tensorflow.serving.PredictionService",
    "tensorflow.serving.ModelService",
    "grpc.reflection.v1alpha.ServerReflection",
}
PREDICTION = "tensorflow.serving.PredictionService"


def test_client_without_proto_files_can_call_the_server(embed: Callable[..., Embedded], model_flags: list[str]) -> None:
    server = embed(*model_flags, "--enable_grpc_reflection")
    database = ProtoReflectionDescriptorDatabase(server.channel)
    assert set(database.get_services()) == SERVICES
    pool = DescriptorPool(database)
    for service in SERVICES:
        assert pool.FindServiceByName(service).methods
    method = pool.FindServiceByName(PREDICTION).methods_by_name["Predict"]
    request = message_factory.GetMessageClass(method.input_type)()
    request.model_spec.name = "tiny"
    tensor = tf.make_tensor_proto(np.array([1], np.float32)).SerializeToString()
    request.inputs["x"].MergeFromString(tensor)
    call = server.channel.unary_unary(
        f"/{PREDICTION}/Predict",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
    )
    assert list(call(request, timeout=30).outputs["y"].float_val) == [2.5]


def test_reflection_is_off_by_default_and_lists_the_health_service_if_it_is_on(
    embed: Callable[..., Embedded], model_flags: list[str]
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        ProtoReflectionDescriptorDatabase(embed(*model_flags).channel).get_services()
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    server = embed(*model_flags, "--enable_grpc_reflection", "--enable_grpc_healthcheck_service")
    assert set(ProtoReflectionDescriptorDatabase(server.channel).get_services()) == {*SERVICES, "grpc.health.v1.Health"}


def test_open_streams_are_limited_and_do_not_delay_the_end(
    embed: Callable[..., Embedded], model_flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_streams, "MAX_STREAMS", 2)
    monkeypatch.setattr(grpc_server, "CONNECTION_SECONDS", 1)
    server = embed(*model_flags, "--enable_grpc_reflection", "--enable_grpc_healthcheck_service")
    health = health_pb2_grpc.HealthStub(server.channel)
    reflection = reflection_pb2_grpc.ServerReflectionStub(server.channel)
    done = threading.Event()

    def questions() -> object:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        done.wait()

    watches = [health.Watch(health_pb2.HealthCheckRequest()) for _ in range(2)]
    infos = [reflection.ServerReflectionInfo(questions()) for _ in range(2)]
    for each in (*watches, *infos):
        next(each)
    for refused in (health.Watch(health_pb2.HealthCheckRequest()), reflection.ServerReflectionInfo(questions())):
        with pytest.raises(grpc.RpcError, match="2 streams are open already"):
            next(refused)
    watches[0].cancel()
    server.wait_for(lambda: next(health.Watch(health_pb2.HealthCheckRequest())).status == 1)
    server.server.stop()
    for each in (watches[1], *infos):
        with pytest.raises(grpc.RpcError) as caught:
            for _ in each:
                pass
        assert caught.value.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
    done.set()


def test_watch_of_an_unknown_service_is_open_until_its_client_ends_it(
    embed: Callable[..., Embedded], model_flags: list[str]
) -> None:
    server = embed(*model_flags, "--enable_grpc_healthcheck_service")
    health = health_pb2_grpc.HealthStub(server.channel)
    request = health_pb2.HealthCheckRequest(service="absent")
    watch = health.Watch(request)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    with pytest.raises(grpc.RpcError) as caught:
        health.Check(request, timeout=30)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    watch.cancel()
    wait_for_stack("Watch", count=0)


@pytest.mark.parametrize(
    "method",
    ["health.v1.Health/Check", "health.v1.Health/Watch", "reflection.v1alpha.ServerReflection/ServerReflectionInfo"],
)
def test_malformed_message_ends_its_call_with_one_line_in_the_log(
    embed: Callable[..., Embedded], model_flags: list[str], method: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = embed(*model_flags, "--enable_grpc_healthcheck_service", "--enable_grpc_reflection")
    caplog.clear()
    with pytest.raises(grpc.RpcError) as caught:
        next(server.channel.stream_stream(f"/grpc.{method}")(iter([b"\x0a\xff\xff\xff\xff\x01abc"]), timeout=30))
    assert caught.value.code() == grpc.StatusCode.INTERNAL
    assert server.predict() == [2.5]
    found = [each for each in caplog.records if each.levelname != "INFO"]
    assert [each.getMessage().partition(" ")[0] for each in found] == ["Malformed"]
    assert not [each for each in found if each.exc_info]
