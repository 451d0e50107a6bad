import inspect
import typing

import pytest
from pydantic import TypeAdapter, ValidationError

from custom_components.arrow_example_gen.formats import csv_files, parquet_files, tfrecord_files
from custom_components.arrow_example_gen.formats.file_format import FORMATS, FileFormat, Format, file_format

# mypy checks that each module implements the protocol.
READERS: dict[str, FileFormat] = {"csv": csv_files, "parquet": parquet_files, "tfrecord": tfrecord_files}


def test_each_row_of_the_table_names_the_module_of_its_format() -> None:
    assert {name: file_format(name) for name in FORMATS} == READERS


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("function", ["read_columns", "column_notes", "check_columns", "read_rows"])
def test_a_module_has_the_functions_of_the_protocol(name: str, function: str) -> None:
    expected = list(inspect.signature(getattr(FileFormat, function)).parameters)[1:]  # without self
    found = inspect.signature(getattr(file_format(name), function)).parameters
    assert len(found) == len(expected)


def test_settings_accept_the_formats_of_the_table_and_no_others() -> None:
    assert typing.get_args(Format) == tuple(FORMATS)
    with pytest.raises(ValidationError, match="'csv', 'parquet' or 'tfrecord'"):
        TypeAdapter(Format).validate_python("orc")
