"""Errors with a gRPC status code and the message that the client receives."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:  # slow to import, and not needed by the processes that convert large bodies
    import tensorflow as tf

Code = grpc.StatusCode
CODES = {code.value[0]: code for code in Code}
MAX_DETAILS, TRUNCATED = 1024, "...TRUNCATED"
STACK = "\n\nErrors may have originated"  # appended by TensorFlow's Python API
# Names of functions and nodes that TensorFlow adds to the message of an operation. They mean nothing to a client.
_NODES = re.compile(
    r"\{\{function_node [^{}]*\}\}\s*"
    r"|^\s*\[\[.*\]\]\s*$"
    r"|\s*Below are the input tensors:(\s+- \S+ has shape \[[^]]*\])*",
    re.MULTILINE,
)


class ServingError(Exception):
    """A request that cannot be answered, or a model that cannot be loaded.

    Attributes:
        code: The gRPC status code.
        message: The message for the client.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def details(self) -> str:
        """The message as sent over gRPC, truncated to 1,024 characters."""
        return self.message if len(self.message) <= MAX_DETAILS else self.message[:MAX_DETAILS] + TRUNCATED


def invalid_argument(message: str) -> ServingError:
    """Returns an error for a mistake of the client."""
    return ServingError(Code.INVALID_ARGUMENT, message)


def hide_path(message: str, path: Path, name: str) -> str:
    """Replaces a folder of the server in a message for clients.

    Args:
        message: The message.
        path: The folder of a version.
        name: What to write instead, such as ``taxi/1``.
    """
    return message.replace(str(path), name)


def from_tensorflow(error: "tf.errors.OpError") -> ServingError:
    """Converts an error that TensorFlow raised while loading or running a model. Names of its graph are removed."""
    message = _NODES.sub("", str(error.message).partition(STACK)[0])
    return ServingError(CODES.get(error.error_code, Code.UNKNOWN), message.strip())
