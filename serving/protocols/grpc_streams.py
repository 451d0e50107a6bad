"""gRPC's health and reflection services. Their streams stay open for as long as their clients like."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import grpc
from absl import logging
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from serving.descriptor_files import with_dependencies
from serving.errors import Code

MAX_STREAMS = 64  # of each service, because each one takes a call or a thread from the others
Response = health_pb2.HealthCheckResponse
NOT_SERVING = Response.NOT_SERVING
HEALTH_SERVICES = ("", "ModelService", "PredictionService")
MAX_NAME = 100  # characters of a service's name in an error message
FOLDER = "tensorflow_serving/apis/"
# Names of the files in TensorFlow Serving's sources. Their generated modules do not work with protobuf 6.
SERVICE_FILES = {
    "tensorflow.serving.PredictionService": f"{FOLDER}prediction_service.proto",
    "tensorflow.serving.ModelService": f"{FOLDER}model_service.proto",
}
Methods = Mapping[str, Mapping[str, tuple[Any, Any]]]


class OpenStreams:
    """The open streams of a service. The server ends them before it stops, since it would wait for them."""

    def __init__(self) -> None:
        self._contexts: set[grpc.ServicerContext] = set()
        self._closed = False
        self._lock = threading.Lock()

    def add(self, context: grpc.ServicerContext) -> None:
        """Adds a stream, or aborts it if there are too many or the server stops."""
        with self._lock:
            closed, full = self._closed, len(self._contexts) >= MAX_STREAMS
            if not closed and not full and context.add_callback(lambda: self._remove(context)):
                self._contexts.add(context)
        if closed:
            context.abort(Code.UNAVAILABLE, "the server is about to stop")
        if full:
            context.abort(Code.RESOURCE_EXHAUSTED, f"{MAX_STREAMS} streams are open already; try again later")

    def end(self) -> None:
        """Ends all streams, and accepts no new ones."""
        with self._lock:
            self._closed = True
            contexts = list(self._contexts)
        for context in contexts:
            context.cancel()

    def _remove(self, context: grpc.ServicerContext) -> None:
        with self._lock:
            self._contexts.discard(context)


class HealthService(health_pb2_grpc.HealthServicer):
    """Reports that the server and its services are serving, until :meth:`announce_stop`.

    The servicer of grpcio-health-checking holds a lock while it sends a change, and can wait forever if a client ends
    its stream at that moment.
    """

    def __init__(self) -> None:
        self.streams = OpenStreams()
        self._changed = threading.Condition()
        self._stopping = False

    def announce_stop(self) -> None:
        """Reports NOT_SERVING from now on."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Returns the status."""
        if request.service not in HEALTH_SERVICES:
            context.abort(Code.NOT_FOUND, f"there is no service {request.service[:MAX_NAME]}")
        return Response(status=self._status)

    def Watch(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        """Sends the status, and once more if it changes."""
        self.streams.add(context)
        known = request.service in HEALTH_SERVICES
        status = self._status if known else Response.SERVICE_UNKNOWN
        yield Response(status=status)
        context.add_callback(self._wake)
        may_change = known and status != NOT_SERVING
        self._wait_for(lambda: (may_change and self._stopping) or not context.is_active())
        if context.is_active():
            yield Response(status=NOT_SERVING)
            self._wait_for(lambda: not context.is_active())

    @property
    def _status(self) -> int:
        return NOT_SERVING if self._stopping else Response.SERVING

    def _wait_for(self, check: Callable[[], bool]) -> None:
        with self._changed:
            self._changed.wait_for(check)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


def add_health(server: grpc.Server) -> HealthService:
    """Adds the health service to a server, and returns it."""
    service = HealthService()

    def check(serialized: bytes, context: grpc.ServicerContext) -> Any:
        return service.Check(_parsed(health_pb2.HealthCheckRequest, serialized, context), context)

    def watch(serialized: bytes, context: grpc.ServicerContext) -> Iterator[Any]:
        return service.Watch(_parsed(health_pb2.HealthCheckRequest, serialized, context), context)

    serialize = Response.SerializeToString
    handlers = {
        "Check": grpc.unary_unary_rpc_method_handler(check, response_serializer=serialize),
        "Watch": grpc.unary_stream_rpc_method_handler(watch, response_serializer=serialize),
    }
    _add(server, health_pb2.DESCRIPTOR, handlers)
    return service


class ReflectionService(reflection.ReflectionServicer):
    """Describes the services, so that tools such as grpcurl need no ``.proto`` files."""

    def __init__(self, methods: Methods, others: Iterable[FileDescriptor]) -> None:
        """Creates the service.

        Args:
            methods: The request and the response of each method, by service.
            others: Files of other services of the server.
        """
        self.streams = OpenStreams()
        files = [reflection_pb2.DESCRIPTOR, *others]
        names = [each.full_name for file in files for each in file.services_by_name.values()]
        super().__init__([*methods, *names], _pool(methods, files))

    def ServerReflectionInfo(self, request_iterator: Any, context: grpc.ServicerContext) -> Any:
        """Responds to questions about the services."""
        self.streams.add(context)
        return super().ServerReflectionInfo(request_iterator, context)


def add_reflection(server: grpc.Server, methods: Methods, others: Iterable[FileDescriptor]) -> OpenStreams:
    """Adds the reflection service to a server, and returns its streams. See :class:`ReflectionService`."""
    service = ReflectionService(methods, others)

    def reflect(serialized: Iterator[bytes], context: grpc.ServicerContext) -> Any:
        requests = (_parsed(reflection_pb2.ServerReflectionRequest, each, context) for each in serialized)
        return service.ServerReflectionInfo(requests, context)

    handler = grpc.stream_stream_rpc_method_handler(
        reflect, response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString
    )
    _add(server, reflection_pb2.DESCRIPTOR, {"ServerReflectionInfo": handler})
    return service.streams


def _add(server: grpc.Server, file: FileDescriptor, handlers: Mapping[str, grpc.RpcMethodHandler]) -> None:
    [service] = file.services_by_name.values()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))


def _parsed(message: Any, serialized: bytes, context: grpc.ServicerContext) -> Any:
    """Parses a message, or aborts the call.

    gRPC would log a stack trace for a malformed one, and can then wait for the call without end when the server stops.
    """
    try:
        return message.FromString(serialized)
    except DecodeError:
        logging.warning("Malformed %s", message.DESCRIPTOR.name)
        context.abort(Code.INTERNAL, f"Malformed {message.DESCRIPTOR.name}")


def _pool(methods: Methods, others: Iterable[FileDescriptor]) -> descriptor_pool.DescriptorPool:
    """Returns a pool with the files of all services, of their messages, and of everything that these import."""
    pool = descriptor_pool.DescriptorPool()
    of_messages = [each.DESCRIPTOR.file for pairs in methods.values() for pair in pairs.values() for each in pair]
    for file in with_dependencies([*others, *of_messages]):
        pool.AddSerializedFile(file.serialized_pb)
    for service, messages in methods.items():
        package, _, name = service.rpartition(".")
        definition = descriptor_pb2.FileDescriptorProto(name=SERVICE_FILES[service], package=package, syntax="proto3")
        entry = definition.service.add(name=name)
        for method, (request, response) in messages.items():
            for each in (request.DESCRIPTOR, response.DESCRIPTOR):
                if each.file.name not in definition.dependency:
                    definition.dependency.append(each.file.name)
            input_type, output_type = (f".{each.DESCRIPTOR.full_name}" for each in (request, response))
            entry.method.add(name=method, input_type=input_type, output_type=output_type)
        pool.Add(definition)
    return pool
