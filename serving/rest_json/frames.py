"""Sends Python objects and arrays between this server and its own processes, over a pair of sockets.

The operating system copies the bytes, without Python's interpreter lock.
"""

import pickle
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from serving.slices import slices

Buffer: TypeAlias = bytes | memoryview
_SIZE = struct.Struct("<Q")


class Layout(NamedTuple):
    """How an array was sent.

    Attributes:
        dtype: Its dtype.
        shape: Its shape.
        buffers: The number of buffers with its values.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    buffers: int


def send(connection: socket.socket, message: object, buffers: Sequence[Buffer] = ()) -> None:
    """Sends a message, and buffers that are not copied.

    Raises:
        OSError: The other process has ended.
    """
    head = pickle.dumps((message, [memoryview(each).nbytes for each in buffers]))
    connection.sendall(_SIZE.pack(len(head)) + head)
    for each in buffers:
        connection.sendall(each)


def receive(connection: socket.socket) -> tuple[Any, list[memoryview]]:
    """Returns a message and its buffers.

    Raises:
        EOFError: The other process has ended.
        OSError: The connection failed.
    """
    [size] = _SIZE.unpack(_received(connection, _SIZE.size))
    message, sizes = pickle.loads(_received(connection, size))  # noqa: S301 - sent by our own process
    return message, [_received(connection, each) for each in sizes]


def pack(arrays: Mapping[str, NDArray[Any]]) -> tuple[dict[str, Layout], list[Buffer]]:
    """Returns the layouts and the buffers of arrays. Other threads run in between if there are many strings."""
    layouts: dict[str, Layout] = {}
    buffers: list[Buffer] = []
    for name, array in arrays.items():
        if array.dtype == object:
            values = array.ravel().tolist()
            parts: list[Buffer] = [pickle.dumps(values[part]) for part in slices(len(values))]
        else:
            parts = [np.ascontiguousarray(array).reshape(-1).view(np.uint8).data]
        layouts[name] = Layout(array.dtype, array.shape, len(parts))
        buffers += parts
    return layouts, buffers


def unpack(layouts: Mapping[str, Layout], buffers: Sequence[memoryview]) -> dict[str, NDArray[Any]]:
    """Returns the arrays of :func:`pack`."""
    rest = iter(buffers)
    return {name: _array(layout, [next(rest) for _ in range(layout.buffers)]) for name, layout in layouts.items()}


def _array(layout: Layout, buffers: Sequence[memoryview]) -> NDArray[Any]:
    if layout.dtype != object:
        [buffer] = buffers
        return np.frombuffer(buffer, layout.dtype).reshape(layout.shape)
    array: NDArray[Any] = np.empty(layout.shape, object)
    flat = array.reshape(-1)
    for part, buffer in zip(slices(flat.size), buffers, strict=True):
        flat[part] = pickle.loads(buffer)  # noqa: S301 - sent by our own process
    return array


def _received(connection: socket.socket, size: int) -> memoryview:
    buffer = np.empty(size, np.uint8).data  # unlike a bytearray, not filled with zeros first
    done = 0
    while done < size:
        count = connection.recv_into(buffer[done:], 0, socket.MSG_WAITALL)
        if not count:
            raise EOFError("the other process has ended")
        done += count
    return buffer
