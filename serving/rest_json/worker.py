"""The process that converts large bodies: ``python -m serving.rest_json.worker FILE_DESCRIPTOR``.

It imports neither TensorFlow nor anything else that is large, and ends with the server.
"""

import contextlib
import ctypes
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from serving.errors import ServingError
from serving.rest_json.document import ParsedDocument
from serving.rest_json.frames import Buffer, Layout, pack, receive, send, unpack
from serving.rest_json.predict import Format, Rules, write_outputs


class Worker:
    """Converts one body at a time. Each method returns a message and buffers."""

    def __init__(self) -> None:
        self._document: ParsedDocument | None = None

    def parse(self, buffers: Sequence[memoryview]) -> tuple[str, list[Buffer]]:
        """Parses a body, given in parts, and returns the name of its signature."""
        self._document = ParsedDocument(b"".join(buffers))
        return self._document.signature_name, []

    def tensors(self, _buffers: Sequence[memoryview], rules: Rules) -> tuple[object, list[Buffer]]:
        """Returns the inputs of Predict, and the format of the request."""
        assert self._document
        arrays, request_format = self._document.tensors(rules)
        layouts, buffers = pack(arrays)
        return (layouts, request_format), buffers

    def examples(self, files: Sequence[memoryview], name: str) -> tuple[object, list[Buffer]]:
        """Returns the examples of Classify or Regress, serialized.

        Args:
            files: Descriptors of the files that define the message.
            name: Full name of the message.
        """
        assert self._document
        message = _message(files, name)
        self._document.examples(message)
        return None, [message.SerializeToString()]

    def encoding_error(self, _buffers: Sequence[memoryview], text: str) -> tuple[object, list[Buffer]]:
        """Returns the message of the error for a name in the document that is not valid UTF-8."""
        assert self._document
        return self._document.encoding_error(text).message, []

    def write(
        self, buffers: Sequence[memoryview], layouts: Mapping[str, Layout], response_format: Format
    ) -> tuple[object, list[Buffer]]:
        """Returns the body of a response."""
        return None, [write_outputs(unpack(layouts, buffers), response_format)]

    def clear(self) -> None:
        """Frees the memory of the last body."""
        self._document = None
        with contextlib.suppress(AttributeError):  # another C library than GNU's
            ctypes.CDLL(None).malloc_trim(0)


def _message(files: Sequence[memoryview], name: str) -> Any:
    """Returns an empty message, whose class TensorFlow's packages define, without importing them."""
    from google.protobuf import descriptor_pool, message_factory  # noqa: PLC0415 - only for Classify and Regress

    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.AddSerializedFile(bytes(file))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))()


def main(descriptor: int) -> None:
    """Answers the server until that closes the connection or ends."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group, but the server first finishes requests
        signal.signal(number, signal.SIG_IGN)
    worker = Worker()
    with socket.socket(fileno=descriptor) as connection, contextlib.suppress(EOFError, ConnectionError):
        while True:
            _answer(worker, connection)


def _answer(worker: Worker, connection: socket.socket) -> None:
    """Answers a call, or clears the worker if the message is empty."""
    call, received = receive(connection)
    if not call:
        worker.clear()
        return
    method, arguments = call
    try:
        answer, buffers = getattr(worker, method)(received, *arguments)
    except ServingError as error:
        send(connection, (error.code.name, error.message))
    else:
        send(connection, (None, answer), buffers)


if __name__ == "__main__":
    main(int(sys.argv[1]))
