"""Finds the files of a table from a file or a folder that a person names."""

import dataclasses
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from common.project import ROOT
from custom_components.arrow_example_gen.formats.dialect import checked_delimiter, checked_encoding
from custom_components.arrow_example_gen.formats.file_format import FORMATS, Format
from custom_components.arrow_example_gen.source import Source, check_pattern, format_of, last_part
from custom_components.arrow_example_gen.spans import files_of
from pipeline.config.loading import GLOB_CHARACTERS
from pipeline.drafting.errors import DraftError
from pipeline.drafting.table.dialects import find_dialect

TEXT = (".tsv", ".tab", ".txt", ".dat", ".data", ".psv", "")  # extensions of text files other than .csv
SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Given:
    """What the command line says about the files.

    Attributes:
        data: A file or a folder.
        pattern: Files of the folder, or ``None`` to find them.
        delimiter: Delimiter of CSV files, or ``None`` to find it.
        encoding: Encoding of CSV files, or ``None`` to find it.
        test: A file or a folder with the rows of the eval split, or ``None``.
        origin: Where ``data`` was copied from, or empty.
    """

    data: str
    pattern: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    test: str | None = None
    origin: str = ""


@dataclasses.dataclass(frozen=True)
class Files:
    """The files of a table.

    Attributes:
        source: Folder, pattern and format.
        paths: The files.
        path: The folder as ``data.path`` names it.
        names_format: Whether the pattern's extension names the format.
        test: The test table as ``data.test_path`` names it, or ``None``.
        test_paths: The files of the test table.
        origin: Where the files were copied from, or empty.
    """

    source: Source
    paths: list[str]
    path: str
    names_format: bool
    test: str | None
    test_paths: list[str]
    origin: str = ""


def find_files(given: Given) -> Files:
    """Finds the files of a table and their dialect.

    Raises:
        DraftError: There are none, or of several formats, or nothing says which format or dialect they have.
        TableError: A file cannot be read.
    """
    path = Path(given.data)
    try:
        is_dir, is_file = path.is_dir(), path.is_file()
    except OSError as error:
        raise DraftError(f"--data: {given.data}: {error.strerror}; expected a file or a folder") from error
    if not is_dir and not is_file:
        raise DraftError(f"--data: {given.data}: found nothing there; expected a file or a folder of files")
    folder, pattern = (path, given.pattern or _pattern(path)) if is_dir else (path.parent, path.name)
    if is_file and (special := sorted(set(pattern) & set(GLOB_CHARACTERS))):
        raise DraftError(
            f"--data: found {''.join(special)} in {pattern}; expected a name without them: rename the file"
        )
    kind = _format(folder, pattern)
    absolute = _checked_path(folder)
    source = Source(absolute, pattern, kind)
    paths = files_of(source)
    if FORMATS[kind].is_text:
        delimiter = _checked("--delimiter", checked_delimiter, given.delimiter)
        encoding = _checked("--encoding", checked_encoding, given.encoding)
        source = dataclasses.replace(source, dialect=find_dialect(paths[0], delimiter, encoding))
    elif given.delimiter or given.encoding:
        raise DraftError(f"{paths[0]}: found a {kind} file; expected no --delimiter and no --encoding for it")
    test = None if given.test is None else project_path(os.path.abspath(given.test))
    test_paths = [] if given.test is None else _test_paths(given.test, pattern)
    names_format = format_of(pattern) == kind
    return Files(source, paths, project_path(absolute), names_format, test, test_paths, given.origin)


def project_path(absolute: str) -> str:
    """A path as settings name it: relative within the project, absolute elsewhere."""
    return os.path.relpath(absolute, ROOT) if Path(absolute).is_relative_to(ROOT) else absolute


def _checked(option: str, check: Callable[[str], str], value: str | None) -> str | None:
    try:
        return None if value is None else check(value)
    except ValueError as error:
        raise DraftError(f"{option}: {error}") from error


def _checked_path(folder: Path) -> str:
    absolute = os.path.abspath(folder)
    if special := sorted(set(absolute) & set(GLOB_CHARACTERS)):
        raise DraftError(
            f"--data: found {''.join(special)} in {absolute}; expected a folder without {GLOB_CHARACTERS}, which have "
            "a meaning in patterns: rename it"
        )
    return absolute


def _test_paths(test: str, pattern: str) -> list[str]:
    """The files of a test table: a file, or those of a folder that match the last part of the table's pattern."""
    path = Path(test)
    if path.is_file():
        return [str(path.absolute())]
    if not path.is_dir():
        raise DraftError(f"--test: {test}: found nothing there; expected a file or a folder of files")
    last = last_part(pattern)
    found = sorted(str(each) for each in path.absolute().glob(last) if each.is_file())
    if not found:
        raise DraftError(f"--test: found no file in {test} that matches {last}; expected one, or a file")
    return found


def _pattern(folder: Path) -> str:
    """The pattern of all files of a folder, which have one format."""
    names = sorted(each.name for each in folder.iterdir() if each.is_file() and not each.name.startswith("."))
    found = Counter(_extension(name) for name in names if format_of(name))
    found = found or Counter(_extension(name) for name in names if _extension(name) in TEXT[:-1])
    if len(found) == 1:
        return f"*{next(iter(found))}"
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    what = f"{shown or 'no files'} in {folder}"
    raise DraftError(f"--data: found {what}; expected files of one format: name one of them, or give --pattern")


def is_table_name(name: str) -> bool:
    """Whether the extension of a file is one of a table's."""
    return not name.startswith(".") and (format_of(name) is not None or _extension(name) in TEXT[:-1])


def _extension(name: str) -> str:
    stem = name.removesuffix(".gz")
    return Path(stem).suffix + name[len(stem) :]


def _known_format(name: str) -> Format | None:
    extension = _extension(name).removesuffix(".gz")
    return format_of(f"a{_extension(name)}") or ("csv" if extension in TEXT else None)


def _format(folder: Path, pattern: str) -> Format:
    kind = _known_format(pattern)
    if kind is None:
        known = ", ".join(f".{name}" for name in FORMATS)
        hint = "save the table as CSV or Parquet" if pattern.endswith((".xlsx", ".xls", ".ods")) else "rename it"
        raise DraftError(f"--data: found {folder / pattern}; expected a file that ends in {known} or .txt: {hint}")
    try:
        check_pattern(pattern, kind, None)
    except ValueError as error:
        raise DraftError(f"--data: {error}") from error
    return kind
