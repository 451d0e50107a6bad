"""The cause of an error, in one line."""

import re
import traceback
from pathlib import Path

from common.project import ROOT

SITE_PACKAGES = "site-packages"
# What TensorFlow and Beam add to a message: the node, the operation, the transform.
_ADDED = re.compile(r"^\{\{\w+ \S+\}\}\s*|\s*\[Op:\w*\].*$|\s*\[while running.*$|\s*\[\[\{\{.*$")
_BEAM_SUFFIX = "[while running"
_TRACING, _RUNNING_GRAPH = "in user code:", "Graph execution error:"
_RAISED_LINE = re.compile(r"^    (\w+(?:Error|Exception): .*)$", re.MULTILINE)
_GRAPH_LINE = re.compile(r"^(?!Detected at node|\d+ root error|Graph execution error)\S.*$", re.MULTILINE)


def reason(error: BaseException) -> str:
    """Returns the message of the error that started a chain of errors.

    If errors of this project are in the chain, the first of them is used, since its message says what to do. Otherwise
    the innermost error is used.

    >>> reason(ValueError("found 3 rows; expected 4 [while running 'Count']"))
    'found 3 rows; expected 4'
    >>> reason(KeyError("fare"))
    "KeyError: 'fare'"
    """
    chain = [error]
    while (cause := _cause(chain[-1])) is not None:
        chain.append(cause)
    root = next((each for each in reversed(chain) if _is_ours(each)), chain[-1])
    text = _headline(str(root))
    if not text or isinstance(root, KeyError):
        return f"{type(root).__name__}: {text}" if text else type(root).__name__
    return text


def _cause(error: BaseException) -> BaseException | None:
    """The error that led to this one. Beam replaces errors that it catches without setting the cause."""
    from_beam = error.__cause__ is None and _BEAM_SUFFIX in str(error)
    return error.__context__ if from_beam else error.__cause__


def _is_ours(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and SITE_PACKAGES not in frames[-1].filename and Path(frames[-1].filename).is_relative_to(ROOT)


def _headline(message: str) -> str:
    """The line that says what happened: the first one, unless TensorFlow starts with where it happened."""
    message = message.strip()
    lines = [message.partition("\n")[0]]
    if message.startswith(_TRACING):
        lines += _RAISED_LINE.findall(message)
    elif message.startswith(_RUNNING_GRAPH):
        lines += _GRAPH_LINE.findall(message)
    return _ADDED.sub("", lines[-1]).strip()
