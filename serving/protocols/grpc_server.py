"""The gRPC server, with PredictionService, ModelService and the health-checking service."""

import contextlib
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
from absl import logging
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from serving.access.call_limit import RETRY_SECONDS
from serving.access.settings import Access
from serving.errors import Code, ServingError
from serving.flags import Flags
from serving.inference.apis import GRPC
from serving.inference.large_predict import parse_request
from serving.inference.request_handler import RequestHandler
from serving.large_messages import parse
from serving.protocols.call_slots import CallSlots, check_waited_for
from serving.protocols.grpc_interceptors import add_trailing_metadata, interceptors
from serving.protocols.grpc_streams import HealthService, OpenStreams, add_health, add_reflection
from serving.protocols.sockets import drop_new_connections, duplicate_sockets
from serving.tensor_protos import MAX_MESSAGE_BYTES

CONNECTION_SECONDS = 5
DRAIN_SECONDS = 30.0
MAX_CALLS = 1024  # running and waiting; calls beyond that are rejected
PUSHBACK = ("grpc-retry-pushback-ms", str(1000 * RETRY_SECONDS))  # when gRPC's clients should try again


# The request and the response of each method, by service.
METHODS: dict[str, dict[str, tuple[Any, Any]]] = {
    "tensorflow.serving.PredictionService": {
        "Predict": (predict_pb2.PredictRequest, predict_pb2.PredictResponse),
        "Classify": (classification_pb2.ClassificationRequest, classification_pb2.ClassificationResponse),
        "Regress": (regression_pb2.RegressionRequest, regression_pb2.RegressionResponse),
        "MultiInference": (inference_pb2.MultiInferenceRequest, inference_pb2.MultiInferenceResponse),
        "GetModelMetadata": (
            get_model_metadata_pb2.GetModelMetadataRequest,
            get_model_metadata_pb2.GetModelMetadataResponse,
        ),
    },
    "tensorflow.serving.ModelService": {
        "GetModelStatus": (get_model_status_pb2.GetModelStatusRequest, get_model_status_pb2.GetModelStatusResponse),
        "HandleReloadConfigRequest": (
            model_management_pb2.ReloadConfigRequest,
            model_management_pb2.ReloadConfigResponse,
        ),
    },
}


# How to find the model of a request that runs one. Other requests are short, and wait for no slot.
MODELS: dict[Any, Callable[[Any], str]] = {
    **dict.fromkeys(
        (predict_pb2.PredictRequest, classification_pb2.ClassificationRequest, regression_pb2.RegressionRequest),
        lambda request: request.model_spec.name,
    ),
    inference_pb2.MultiInferenceRequest: lambda request: request.tasks[0].model_spec.name if request.tasks else "",
}


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """TensorFlow Serving's PredictionService."""

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Runs a signature on tensors."""
        return _respond(context, lambda: self._handler.predict(request, GRPC))

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Classifies examples."""
        return _respond(context, lambda: self._handler.classify(request, GRPC))

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Predicts a number per example."""
        return _respond(context, lambda: self._handler.regress(request, GRPC))

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Runs several signatures on the same examples."""
        return _respond(context, lambda: self._handler.multi_inference(request, GRPC))

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Returns the signatures of a version."""
        return _respond(context, lambda: self._handler.metadata(request))


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """TensorFlow Serving's ModelService."""

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Returns the versions of a model and their states."""
        return _respond(context, lambda: self._handler.status(request))

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Replaces all models."""
        context.add_callback(self._handler.manager.wake)  # ends the wait if the client disconnects
        return _respond(context, lambda: self._handler.reload(request, context.is_active))


class GrpcServer:
    """The gRPC server with all services."""

    def __init__(self, handler: RequestHandler, flags: Flags, access: Access) -> None:
        """Binds the port and the Unix socket. Requests are not handled before :meth:`start`.

        Raises:
            RuntimeError: The port or the socket is in use.
        """
        self._port = flags.port
        options: list[tuple[str, Any]] = [
            *_channel_arguments(flags.grpc_channel_arguments),  # gRPC uses the first value of an option
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
            # When the server stops, this is the only way to make clients reconnect without losing a request.
            ("grpc.max_connection_age_ms", 1000 * CONNECTION_SECONDS),
        ]
        threads = futures.ThreadPoolExecutor(MAX_CALLS, "grpc")  # one per call, as waiting calls hold a thread, too
        slots = CallSlots(flags.grpc_max_threads, MAX_CALLS, access.limit)
        self._server = grpc.server(
            threads, options=options, maximum_concurrent_rpcs=MAX_CALLS, interceptors=interceptors(access)
        )
        for servicer, service in zip((PredictionService(handler), ModelService(handler)), METHODS, strict=True):
            self._server.add_generic_rpc_handlers((_generic_handler(servicer, service, slots),))
        self._streams: list[OpenStreams] = []
        self._health: HealthService | None = None
        self._add_services(flags)
        self._bind(flags, access)

    def _add_services(self, flags: Flags) -> None:
        if flags.enable_grpc_healthcheck_service:
            self._health = add_health(self._server)
            self._streams.append(self._health.streams)
        if flags.enable_grpc_reflection:
            others = [health_pb2.DESCRIPTOR] if self._health else []
            self._streams.append(add_reflection(self._server, METHODS, others))

    def _bind(self, flags: Flags, access: Access) -> None:
        addresses = [f"unix:{flags.grpc_socket_path}"] if flags.grpc_socket_path else []
        for address in [*addresses, *([f"{flags.address}:{flags.port}"] if flags.port else [])]:
            if access.tls:
                self._server.add_secure_port(address, access.tls.grpc)
            else:
                self._server.add_insecure_port(address)

    def start(self) -> None:
        """Starts to handle requests."""
        self._server.start()

    def announce_stop(self) -> None:
        """Makes the health service report NOT_SERVING. Calls are still handled."""
        if self._health:
            self._health.announce_stop()

    def stop_accepting(self) -> None:
        """Accepts no more connections. Open connections stay open."""
        for listening in duplicate_sockets(self._port, listening=True):
            with listening, contextlib.suppress(OSError):  # without a filter, gRPC's own stop refuses connections
                drop_new_connections(listening)

    def stop(self) -> None:
        """Waits until the connections reach their maximum age, then stops. gRPC's stop cancels arriving requests."""
        for streams in self._streams:
            streams.end()
        end = time.monotonic() + 1.2 * CONNECTION_SECONDS  # gRPC adds up to 10% to the age
        while time.monotonic() < end and self._has_connections():
            time.sleep(0.05)
        # gRPC cancels the calls after that time. It has been seen to wait for one that had ended.
        self._server.stop(DRAIN_SECONDS).wait(DRAIN_SECONDS + CONNECTION_SECONDS)

    def _has_connections(self) -> bool:
        connections = duplicate_sockets(self._port, listening=False)
        for connection in connections:
            connection.close()
        return bool(connections)


def _generic_handler(servicer: Any, service: str, slots: CallSlots) -> grpc.GenericRpcHandler:
    """Returns the handler of a service, which parses the messages itself.

    gRPC would parse them in the thread that receives all messages, and would log a stack trace for a malformed one.
    """
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            _parsing(getattr(servicer, name), request, slots), response_serializer=_serialize
        )
        for name, (request, _) in METHODS[service].items()
    }
    return grpc.method_handlers_generic_handler(service, handlers)


def _parsing(method: Callable[[Any, grpc.ServicerContext], Any], message: Any, slots: CallSlots) -> Callable[..., Any]:
    """Returns a method that takes a serialized request, and waits for a slot of its model."""
    find_model, is_predict = MODELS.get(message), message is predict_pb2.PredictRequest

    def handle(serialized: bytes, context: grpc.ServicerContext) -> Any:
        try:
            check_waited_for(context)
            request = parse_request(serialized) if is_predict else parse(message, serialized)
            if not find_model:
                return method(request, context)
            with slots.hold(find_model(request), context):
                return method(request, context)
        except ServingError as error:
            _abort(context, error)
        except DecodeError:
            name = message.DESCRIPTOR.name
            logging.warning("Malformed %s from %s", name, context.peer())
            context.abort(Code.INTERNAL, f"the message is not a valid {name}")  # the code of the original

    return handle


def _serialize(response: Any) -> bytes:
    return response if isinstance(response, bytes) else response.SerializeToString()


def _respond(context: grpc.ServicerContext, run: Callable[[], Any]) -> Any:
    try:
        check_waited_for(context)
        return run()
    except ServingError as error:
        _abort(context, error)
    except Exception:  # a bug must not end the server
        logging.exception("A request failed.")
        context.abort(Code.INTERNAL, "internal error; see the server's log")


def _abort(context: grpc.ServicerContext, error: ServingError) -> None:
    if error.code == Code.RESOURCE_EXHAUSTED:
        add_trailing_metadata(context, PUSHBACK)
    context.abort(error.code, error.details)


def _channel_arguments(text: str) -> list[tuple[str, Any]]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    return [
        (key, int(value) if value.isascii() and value.removeprefix("-").isdigit() else value) for key, _, value in pairs
    ]
