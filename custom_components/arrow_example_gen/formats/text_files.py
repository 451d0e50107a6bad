"""Opens text files in any encoding as UTF-8 without a byte-order mark."""

import codecs
import io
from typing import IO, Any, cast

from artifacts.fingerprint import ContentDigest
from custom_components.arrow_example_gen.formats.dialect import UTF8
from custom_components.arrow_example_gen.formats.files import CHUNK_BYTES, TableError, open_file

MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def open_text(path: str, encoding: str, digest: ContentDigest | None = None, errors: str = "strict") -> IO[bytes]:
    """Opens a text file. Its bytes are UTF-8, whatever encoding the file has, without a byte-order mark.

    It is converted as it is read, in constant memory. A file in UTF-8 is not checked here, but by its reader.

    Args:
        path: The file, which is decompressed if its extension is ``.gz``.
        encoding: Its encoding.
        digest: Updated with the bytes of the file, as by :func:`.files.open_file`.
        errors: ``strict``, or ``replace`` for bytes that are not text in this encoding.

    Raises:
        TableError: The file cannot be opened. Reading raises it for bytes that are not text in this encoding.
    """
    file = open_file(path, digest)
    if encoding != UTF8:
        return io.BufferedReader(_Converted(path, file, encoding, errors), CHUNK_BYTES)
    buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", file))
    if buffered.peek(len(codecs.BOM_UTF8)).startswith(codecs.BOM_UTF8):
        buffered.read(len(codecs.BOM_UTF8))
    return buffered


def not_utf8(path: str) -> TableError:
    """The error for a file that is not UTF-8, with the first byte that is not."""
    decoder, line = codecs.getincrementaldecoder(UTF8)(), 1
    with open_file(path) as file:
        chunk = file.read(CHUNK_BYTES)
        encoding = "to 'utf-16'" if chunk.startswith(_UTF16_MARKS) else "to its encoding, such as 'cp1252'"
        while True:
            try:
                line += decoder.decode(chunk, final=not chunk).count("\n")
            except UnicodeDecodeError as error:
                line += error.object[: error.start].count(b"\n")
                found = f"line {line}: byte {error.object[error.start]:#04x} is not UTF-8"
                return TableError(f"{path}: {found}; save the file as UTF-8, or set data.encoding {encoding}")
            if not chunk:
                return TableError(f"{path}: not UTF-8; save the file as UTF-8, or set data.encoding")
            chunk = file.read(CHUNK_BYTES)


class _Converted(io.RawIOBase):
    """A file in another encoding as UTF-8. It is converted as it is read, a chunk at a time."""

    def __init__(self, path: str, file: IO[bytes], encoding: str, errors: str) -> None:
        self._path, self._file, self._encoding = path, file, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)(errors)
        self._rest, self._line, self._is_start, self._is_end = b"", 1, True, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and not self._is_end:
            self._rest = self._next()
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()

    def _next(self) -> bytes:
        """Converts the next chunk. Raises for bytes that are not text."""
        chunk = self._file.read(CHUNK_BYTES)
        self._is_end = not chunk
        try:
            text = self._decoder.decode(chunk, final=self._is_end)
        except UnicodeError as error:
            raise self._not_text(chunk, error) from error
        if self._is_start and text:
            self._is_start, text = False, text.removeprefix(MARK)
        self._line += text.count("\n")
        return text.encode(UTF8, "replace" if self._decoder.errors == "replace" else "strict")

    def _not_text(self, chunk: bytes, error: UnicodeError) -> TableError:
        self._decoder.errors = "replace"
        before = self._decoder.decode(chunk, final=self._is_end).partition("\N{REPLACEMENT CHARACTER}")[0]
        byte = f"byte {error.object[error.start]:#04x}" if isinstance(error, UnicodeDecodeError) else str(error)
        return TableError(
            f"{self._path}: line {self._line + before.count(chr(10))}: {byte} is not {self._encoding}; expected text "
            "in the encoding that data.encoding names"
        )
