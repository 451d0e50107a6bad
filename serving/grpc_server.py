"""PredictionService, ModelService and gRPC's health service."""

from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
from absl import logging
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.core import Core
from serving.errors import Code, ServingError
from serving.flags import Flags

ENTRY = "GRPC"
MESSAGE_BYTES = (1 << 31) - 1
MOST_CALLS = 1024  # that wait or are answered; beyond, they are refused


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers with what the core gives, or aborts with its error."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Runs a signature over tensors."""
        return _answer(context, lambda: self._core.predict(request, ENTRY))

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Classifies examples."""
        return _answer(context, lambda: self._core.classify(request, ENTRY))

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Gives a number for each example."""
        return _answer(context, lambda: self._core.regress(request, ENTRY))

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Several signatures over the same examples."""
        return _answer(context, lambda: self._core.multi_inference(request, ENTRY))

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The signatures of a version."""
        return _answer(context, lambda: self._core.metadata(request))


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """Tells what is loaded, and replaces what is served."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The versions of a model and how each one is."""
        return _answer(context, lambda: self._core.status(request))

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Replaces all models."""
        context.add_callback(self._core.manager.wake)  # a client that went waits for no model
        return _answer(context, lambda: self._core.reload(request, context.is_active))


def make_server(core: Core, flags: Flags) -> grpc.Server:
    """A server with all services, bound and not yet started.

    Raises:
        RuntimeError: The port or the socket is taken.
    """
    options: list[tuple[str, Any]] = [
        *_channel_arguments(flags.grpc_channel_arguments),  # of two values gRPC takes the first
        ("grpc.max_receive_message_length", MESSAGE_BYTES),
        ("grpc.max_send_message_length", MESSAGE_BYTES),
        ("grpc.so_reuseport", 0),
    ]
    workers = futures.ThreadPoolExecutor(flags.grpc_max_threads, "grpc")
    server = grpc.server(workers, options=options, maximum_concurrent_rpcs=MOST_CALLS)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(core), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(core), server)
    if flags.enable_grpc_healthcheck_service:
        server_health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(server_health, server)
        for name in ("", "ModelService", "PredictionService"):
            server_health.set(name, health_pb2.HealthCheckResponse.SERVING)
    if flags.grpc_socket_path:
        server.add_insecure_port(f"unix:{flags.grpc_socket_path}")
    if flags.port:
        server.add_insecure_port(f"{flags.address}:{flags.port}")
    return server


def _answer(context: grpc.ServicerContext, run: Callable[[], Any]) -> Any:
    left = context.time_remaining()
    if left is not None and left <= 0:
        context.abort(Code.DEADLINE_EXCEEDED, "the deadline passed before the request was looked at")
    try:
        return run()
    except ServingError as error:
        context.abort(error.code, error.cut)
    except Exception:  # a defect of ours must not end the server
        logging.exception("A request failed.")
        context.abort(Code.INTERNAL, "internal error; the server's log tells more")


def _channel_arguments(text: str) -> list[tuple[str, Any]]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    return [(key, int(value) if value.lstrip("-").isdigit() else value) for key, _, value in pairs]
