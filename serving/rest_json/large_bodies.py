"""Converts large bodies in separate processes, because Python's JSON parsers keep its interpreter lock.

In this process, a body of 60 MB would keep all other requests waiting for seconds.
"""

import contextlib
import os
import queue
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from common.child_processes import child_environment, exit_description, python_module
from serving.descriptor_files import with_dependencies
from serving.errors import Code, ServingError, invalid_argument
from serving.large_messages import merge
from serving.models.cpu_affinity import all_cpus
from serving.rest_json.document import Document, Inputs, ParsedDocument
from serving.rest_json.frames import Buffer, pack, receive, send, unpack
from serving.rest_json.predict import Format, Rules, write_outputs

LARGE_BYTES = 1 << 18  # converted in about five milliseconds
VALUE_BYTES = 16  # of a number as JSON
END_SECONDS = 5.0


class LargeBodies:
    """Converts the bodies of requests and responses: small ones here, and large ones in other processes."""

    def __init__(self, large_bytes: int = LARGE_BYTES) -> None:
        """Processes are started on demand, at most one per CPU, and kept for the next large body.

        Args:
            large_bytes: Size of the largest body that is converted in this process.
        """
        self._large_bytes = large_bytes
        self._closed = False
        # Those that have been started are taken first.
        self._free: queue.LifoQueue[_Process | None] = queue.LifoQueue()
        for _ in os.sched_getaffinity(0):
            self._free.put(None)

    @contextlib.contextmanager
    def parsed(self, body: Sequence[bytes]) -> Iterator[Document]:
        """Yields the document of a request, given in parts.

        Raises:
            ServingError: It is not a JSON object, or its signature name is not a string.
        """
        if sum(map(len, body)) <= self._large_bytes:
            yield ParsedDocument(body[0] if len(body) == 1 else b"".join(body))
            return
        with self._process() as process:
            name, _ = process.call("parse", body)
            yield _RemoteDocument(process, name)

    def write(self, outputs: Mapping[str, NDArray[Any]], response_format: Format) -> Buffer:
        """Returns the body of a response. See :func:`serving.rest_json.predict.write_outputs`."""
        if _json_bytes(outputs) <= self._large_bytes:
            return write_outputs(outputs, response_format)
        layouts, buffers = pack(outputs)
        with self._process() as process:
            _, [body] = process.call("write", buffers, layouts, response_format)
            return body

    def close(self) -> None:
        """Ends the processes. Those that still convert a body end after it."""
        self._closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                process = self._free.get_nowait()
                if process:
                    process.close()

    @contextlib.contextmanager
    def _process(self) -> Iterator["_Process"]:
        """Yields a process for one body.

        Raises:
            ServingError: It cannot be started, or was killed.
        """
        process, is_reusable = self._free.get(), False
        try:
            if process is None or not process.is_alive():
                process = None
                process = _Process()
            try:
                yield process
            except ServingError:
                is_reusable = True
                raise
            is_reusable = True
        except (OSError, EOFError) as error:
            how = exit_description(process.close()) if process else f"did not start: {error}"
            raise ServingError(Code.INTERNAL, f"The process that converts large bodies {how}.") from error
        finally:
            self._give_back(process, is_reusable)

    def _give_back(self, process: "_Process | None", is_reusable: bool) -> None:
        """Keeps a process for the next body, or ends it if it is in an unknown state."""
        if process and is_reusable and not self._closed:
            process.clear()
        elif process:
            process.kill()
            process = None
        self._free.put(process)


class _Process:
    """A process that converts large bodies. See :mod:`serving.rest_json.worker`."""

    def __init__(self) -> None:
        """Starts the process.

        Raises:
            OSError: It cannot be started.
        """
        self._connection, other_end = socket.socketpair()
        for end in (self._connection, other_end):
            end.settimeout(None)  # a library may have set a default, which would make both ends non-blocking
        with other_end, all_cpus():
            number = other_end.fileno()
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                python_module("serving.rest_json.worker", str(number)), env=child_environment(), pass_fds=[number]
            )

    def is_alive(self) -> bool:
        """Returns whether the process is running."""
        return self._process.poll() is None

    def call(self, method: str, buffers: Sequence[Buffer] = (), *arguments: object) -> tuple[Any, list[memoryview]]:
        """Calls a method of :class:`serving.rest_json.worker.Worker`.

        Raises:
            ServingError: The method raised it.
            EOFError: The process has ended.
            OSError: The connection failed.
        """
        send(self._connection, (method, arguments), buffers)
        (code, answer), received = receive(self._connection)
        if code:
            raise ServingError(Code[code], answer)
        return answer, received

    def clear(self) -> None:
        """Frees the memory of the last body, without waiting for it."""
        with contextlib.suppress(OSError):  # it has ended, which the next request notices
            send(self._connection, None)

    def close(self) -> int:
        """Ends the process, which has nothing to do or is ending, and returns its exit code."""
        self._connection.close()
        try:
            return self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """Ends the process, whatever it does, and returns its exit code."""
        self._connection.close()
        self._process.kill()
        return self._process.wait()


class _RemoteDocument:
    """A document in another process. See :class:`serving.rest_json.document.Document`."""

    def __init__(self, process: _Process, signature_name: str) -> None:
        self._process = process
        self.signature_name = signature_name

    def tensors(self, rules: Rules) -> Inputs:
        """See :meth:`Document.tensors`."""
        (layouts, request_format), buffers = self._process.call("tensors", (), rules)
        return unpack(layouts, buffers), request_format

    def examples(self, request_input: Any) -> None:
        """See :meth:`Document.examples`."""
        descriptor = request_input.DESCRIPTOR
        files = [file.serialized_pb for file in with_dependencies([descriptor.file])]
        _, [serialized] = self._process.call("examples", files, descriptor.full_name)
        merge(request_input, serialized)

    def encoding_error(self, text: str) -> ServingError:
        """See :meth:`Document.encoding_error`."""
        message, _ = self._process.call("encoding_error", (), text)
        return invalid_argument(message)


def _json_bytes(arrays: Mapping[str, NDArray[Any]]) -> int:
    """Returns the approximate size of arrays as JSON."""
    texts = (sum(map(len, array.ravel().tolist())) for array in arrays.values() if array.dtype == object)
    return VALUE_BYTES * sum(array.size for array in arrays.values()) + sum(texts)
