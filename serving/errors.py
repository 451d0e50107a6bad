"""Errors as TensorFlow Serving's clients see them: a canonical code and one text."""

import grpc
import tensorflow as tf

Code = grpc.StatusCode
CODES = {code.value[0]: code for code in Code}
LONGEST, CUT_OFF = 1024, "...TRUNCATED"
STACK = "\n\nErrors may have originated"  # what TensorFlow's Python side appends


class ServingError(Exception):
    """A request that cannot be answered, or a model that cannot be loaded.

    Attributes:
        code: The canonical code.
        message: What the client is told.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def cut(self) -> str:
        """The message as gRPC carries it: 1,024 characters at most."""
        return self.message if len(self.message) <= LONGEST else self.message[:LONGEST] + CUT_OFF


def invalid(message: str) -> ServingError:
    """The client's own mistake."""
    return ServingError(Code.INVALID_ARGUMENT, message)


def from_tensorflow(error: tf.errors.OpError) -> ServingError:
    """What TensorFlow raised while it loaded or ran a model."""
    return ServingError(CODES.get(error.error_code, Code.UNKNOWN), str(error.message).partition(STACK)[0].strip())
