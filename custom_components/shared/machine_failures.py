"""Errors that say nothing about a model: the machine ran out of something."""

import tensorflow as tf

# Out of memory, disk space or files; a file system that did not respond; a call that was stopped.
_MACHINE_ERRORS = (
    MemoryError,
    ImportError,
    tf.errors.ResourceExhaustedError,
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)

# What a broken model raises: it lacks a file, or has a folder in its place.
_MODEL_ERRORS = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


def is_machine_failure(error: BaseException) -> bool:
    """Returns whether an error is the machine's. A check that raises it must fail, not refuse the model.

    An ``OSError`` with a number comes from the operating system. TensorFlow raises some without a number for a file
    that a model lacks.
    """
    from_system = isinstance(error, OSError) and error.errno is not None and not isinstance(error, _MODEL_ERRORS)
    return from_system or isinstance(error, _MACHINE_ERRORS)
