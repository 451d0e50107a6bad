"""Why something failed, in one line."""

import re
import traceback
from pathlib import Path

from common.project import ROOT

NOT_OURS = "site-packages"
# What TensorFlow and Beam put around their words: the node, the operation, where it ran.
_AROUND = re.compile(r"^\{\{\w+ \S+\}\}\s*|\s*\[Op:\w*\].*$|\s*\[while running.*$|\s*\[\[\{\{.*$")
_OF_BEAM = "[while running"
_IN_TRACE, _IN_GRAPH = "in user code:", "Graph execution error:"
_RAISED = re.compile(r"^    (\w+(?:Error|Exception): .*)$", re.MULTILINE)
_OF_GRAPH = re.compile(r"^(?!Detected at node|\d+ root error|Graph execution error)\S.*$", re.MULTILINE)


def reason(error: BaseException) -> str:
    """What started a chain of errors: the first that this project raised, with what to do, or else the innermost."""
    chain = [error]
    while (behind := _behind(chain[-1])) is not None:
        chain.append(behind)
    chosen = next((each for each in reversed(chain) if _is_ours(each)), chain[-1])
    text = _line(str(chosen))
    if not text or isinstance(chosen, KeyError):
        return f"{type(chosen).__name__}: {text}" if text else type(chosen).__name__
    return text


def _behind(error: BaseException) -> BaseException | None:
    """What an error was raised for; Beam raises what it caught anew, with where it ran and without a cause."""
    by_beam = error.__cause__ is None and _OF_BEAM in str(error)
    return error.__context__ if by_beam else error.__cause__


def _is_ours(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and NOT_OURS not in frames[-1].filename and Path(frames[-1].filename).is_relative_to(ROOT)


def _line(text: str) -> str:
    """The line of a text that says what happened: its first, but where TensorFlow begins with where it happened."""
    text = text.strip()
    told = [text.partition("\n")[0]]
    if text.startswith(_IN_TRACE):
        told += _RAISED.findall(text)
    elif text.startswith(_IN_GRAPH):
        told += _OF_GRAPH.findall(text)
    return _AROUND.sub("", told[-1]).strip()
