"""Text for a terminal, and what happens if it cannot be written."""

import codecs
import contextlib
import io
import os
import re
import sys
import traceback
from collections.abc import Callable
from typing import IO, Any

from common.child_processes import ensure_home

# Control characters, except tabs and line breaks, characters that reverse the direction of text, and bytes that are
# not UTF-8. A terminal would obey the first two, and cannot encode the last.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
FAILED = 1
ESCAPE = "onegraph.escape"  # name of the error handler
STANDARD_DESCRIPTORS = (0, 1, 2)


def printable(text: str) -> str:
    r"""Escapes characters that a terminal would obey. Names and values from data may have any.

    >>> print(printable("a\x1b[2Jb"))
    a\x1b[2Jb
    """
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def print_traceback(error: BaseException, stream: IO[str]) -> None:
    """Writes the traceback of an error, if the stream can still be written."""
    with contextlib.suppress(OSError):
        stream.write(printable("".join(traceback.format_exception(error))))


def printable_json(document: str) -> str:
    r"""Escapes the same characters in JSON, which stays the same document.

    >>> print(printable_json('"caf\u00e9 \x9b2J"'))
    "café \u009b2J"
    """
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def _escape(error: UnicodeError) -> tuple[str, int]:
    r"""Escapes characters that standard output cannot encode, such as "\u00e9" in a C locale. JSON stays valid."""
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = (units[start : start + 2].hex() for start in range(0, len(units), 2))
    return "".join(f"\\u{pair}" for pair in pairs), error.end


class OutputError(OSError):
    """Standard output cannot be written, for example because its disk is full."""


class _StandardOutput(io.FileIO):
    """Standard output, whose errors differ from those of other files. Rich and Click handle a closed pipe."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(error.errno, error.strerror) from error


class _StandardError(io.FileIO):
    """Standard error, which discards what cannot be written, so that the exit code still says what happened."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def run_command(command: Callable[[], object]) -> None:
    """Runs a command line, and reports in one line if standard output cannot be written.

    Args:
        command: Prints its result to standard output. It may raise SystemExit.
    """
    ensure_home()
    _open_missing_descriptors()
    codecs.register_error(ESCAPE, _escape)
    sys.stdout = output_file(1, sys.stdout.encoding, ESCAPE, line_buffering=sys.stdout.isatty())
    errors = io.BufferedWriter(_StandardError(2, "w", closefd=False))
    sys.stderr = io.TextIOWrapper(errors, sys.stderr.encoding, sys.stderr.errors, line_buffering=True)
    try:
        try:
            command()
        finally:
            sys.stdout.flush()
    except OutputError as error:
        flush_or_discard(sys.stdout)
        sys.stderr.write(f"error standard output: {error.strerror}; the result was not written\n")
        raise SystemExit(FAILED) from error
    except BrokenPipeError as error:  # the reader, such as head, has what it needs
        flush_or_discard(sys.stdout)
        raise SystemExit(FAILED) from error


def output_file(
    descriptor: int, encoding: str, errors: str | None, *, line_buffering: bool, closefd: bool = False
) -> io.TextIOWrapper:
    """Opens a descriptor of standard output. It raises :class:`OutputError` if it cannot be written.

    Args:
        descriptor: The descriptor, or a copy of it.
        encoding: Encoding of the text.
        errors: How to write characters that the encoding does not have.
        line_buffering: Whether to write after each line.
        closefd: Whether to close the descriptor with the file.
    """
    output = io.BufferedWriter(_StandardOutput(descriptor, "w", closefd=closefd))
    return io.TextIOWrapper(output, encoding, errors, line_buffering=line_buffering)


def flush_or_discard(stream: IO[str]) -> OSError | None:
    """Flushes a standard stream. What cannot be written is discarded, with all that follows, and the error returned."""
    try:
        stream.flush()
    except OSError as error:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
        stream.flush()  # what could not be written is still in the buffer, and would fail when the interpreter ends
        return error
    return None


def _open_missing_descriptors() -> None:
    """Opens the standard descriptors that the caller has closed, since files would get their numbers."""
    for number, name in zip(STANDARD_DESCRIPTORS, ("stdin", "stdout", "stderr"), strict=True):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


class TolerantFile:
    """A text file that discards what cannot be written, so that a run goes on if its console is full or closed.

    Attributes:
        failure: Why the last text was discarded, or ``None``.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.failure: OSError | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def write(self, text: str) -> int:
        """Writes a text."""
        if self.failure is None:
            try:
                return self._file.write(text)
            except OSError as error:
                self.failure = error
        return len(text)

    def flush(self) -> None:
        """Writes what is buffered."""
        if self.failure is None:
            try:
                self._file.flush()
            except OSError as error:
                self.failure = error
