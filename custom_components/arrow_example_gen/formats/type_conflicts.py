"""Names the types of columns in errors about files that differ."""

from collections.abc import Mapping

import pyarrow as pa

from custom_components.arrow_example_gen.formats.files import TableError, name_of


def type_conflict(path: str, name: str, found: pa.DataType, other: pa.DataType, other_path: str) -> TableError:
    """The error for a column that becomes another type in one file than in another."""
    return TableError(
        f"{path}: column '{name}' becomes {shown_type(found)}, but {shown_type(other)} in {name_of(other_path)}; "
        "expected the same type"
    )


def shown_type(kind: pa.DataType) -> str:
    """The name of a type that columns become."""
    names: Mapping[pa.DataType, str] = {pa.large_binary(): "bytes"}
    if pa.types.is_large_list(kind):
        return f"lists of {shown_type(kind.value_type)}"
    return names.get(kind, str(kind))
