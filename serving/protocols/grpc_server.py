"""PredictionService, ModelService and gRPC's health service."""

import contextlib
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
from absl import logging
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.errors import Code, ServingError
from serving.flags import Flags
from serving.inference.service import Core
from serving.inference.tensor_protos import MESSAGE_BYTES
from serving.protocols.listening import refuse_new, sockets_of

ENTRY = "GRPC"
CONNECTION_SECONDS = 5
DRAIN_SECONDS = 30.0
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


class GrpcServer:
    """A gRPC server with all services."""

    def __init__(self, core: Core, flags: Flags) -> None:
        """Binds it; nothing is answered yet.

        Raises:
            RuntimeError: The port or the socket is taken.
        """
        self._port = flags.port
        options: list[tuple[str, Any]] = [
            *_channel_arguments(flags.grpc_channel_arguments),  # of two values gRPC takes the first
            ("grpc.max_receive_message_length", MESSAGE_BYTES),
            ("grpc.max_send_message_length", MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
            # gRPC has no other way to ask clients for a new connection, and a server that stops has to.
            ("grpc.max_connection_age_ms", 1000 * CONNECTION_SECONDS),
        ]
        workers = futures.ThreadPoolExecutor(flags.grpc_max_threads, "grpc")
        self._server = grpc.server(workers, options=options, maximum_concurrent_rpcs=MOST_CALLS)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(core), self._server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(core), self._server)
        if flags.enable_grpc_healthcheck_service:
            server_health = health.HealthServicer()
            health_pb2_grpc.add_HealthServicer_to_server(server_health, self._server)
            for name in ("", "ModelService", "PredictionService"):
                server_health.set(name, health_pb2.HealthCheckResponse.SERVING)
        if flags.grpc_socket_path:
            self._server.add_insecure_port(f"unix:{flags.grpc_socket_path}")
        if flags.port:
            self._server.add_insecure_port(f"{flags.address}:{flags.port}")

    def start(self) -> None:
        """Answers."""
        self._server.start()

    def refuse_new(self) -> None:
        """Lets no new connection in; those there are go on."""
        for listening in sockets_of(self._port, listening=True):
            with listening, contextlib.suppress(OSError):  # without a filter it is gRPC's own stop that refuses
                refuse_new(listening)

    def stop(self) -> None:
        """Waits until the connections have come of age, and ends; gRPC's own stop cancels what is just arriving."""
        end = time.monotonic() + 1.2 * CONNECTION_SECONDS  # gRPC adds a tenth at most
        while time.monotonic() < end and self._connected():
            time.sleep(0.05)
        self._server.stop(DRAIN_SECONDS).wait()

    def _connected(self) -> bool:
        found = sockets_of(self._port, listening=False)
        for connection in found:
            connection.close()
        return bool(found)


def _answer(context: grpc.ServicerContext, run: Callable[[], Any]) -> Any:
    left = context.time_remaining()
    if left is not None and left <= 0:
        context.abort(Code.DEADLINE_EXCEEDED, "the deadline passed before the request was looked at")
    if not context.is_active():
        context.abort(Code.CANCELLED, "the client went before the request was looked at")
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
