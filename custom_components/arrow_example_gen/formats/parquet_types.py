"""What the types of Parquet columns become in tf.Examples.

Dates and times become text in ISO 8601, in UTC if they have a zone. It has no unit that a client could mistake, keeps
nanoseconds, is what a client sends in JSON, and equals the text in a CSV file of the same table.
"""

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from custom_components.arrow_example_gen.formats.files import TableError

# How to fix a column of an unsupported type.
HINTS = {
    "duration": "cast it to a number",
    "interval": "cast it to a number",
    "struct": "make a column for each field",
    "map": "make a column for each key",
    "list": "flatten it to one list per row",
}
# What the types of a schema become.
SCHEMA_KINDS = {"INT": pa.int64(), "FLOAT": pa.float32(), "BYTES": pa.large_binary()}
_TIMES = (pa.types.is_timestamp, pa.types.is_date, pa.types.is_time)
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


class Unreadable(NamedTuple):
    """A column whose type no feature has.

    Attributes:
        type: Its type.
        hint: How to fix it.
    """

    type: pa.DataType
    hint: str


def feature_type(kind: pa.DataType) -> pa.DataType | Unreadable:
    """The type that a column becomes: int64, float32, bytes, lists of these, or null."""
    value, is_list = kind, False
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        value, is_list = kind.value_type, True
    elif pa.types.is_dictionary(kind):
        value = kind.value_type
    if is_list and needs_text(value):
        return Unreadable(kind, "cast the values to text or numbers")
    found = _value_type(value)
    if found is None:
        return Unreadable(kind, next((hint for name, hint in HINTS.items() if name in str(kind)), "cast it"))
    return pa.large_list(found) if is_list and found != pa.null() else found


def in_schema(location: str, field: pa.Field, name: str | None) -> pa.DataType:
    """The type that a column becomes, given the name of its type in the schema.

    Args:
        location: The file, for errors.
        field: The column.
        name: ``INT``, ``FLOAT``, ``BYTES``, or ``None``.

    Raises:
        TableError: It has an unsupported type, or is text and should be a number, or the other way round.
    """
    kind = feature_type(field.type)
    if isinstance(kind, Unreadable):
        raise TableError(
            f"{location}: column '{field.name}' is {field.type}; expected integers, decimals, floats, booleans, dates, "
            f"times, text, bytes or lists of numbers or text: {kind.hint}, or leave it out of the settings and the "
            "schema"
        )
    if name is None or pa.types.is_null(kind):
        return kind
    wanted, is_list = SCHEMA_KINDS[name], pa.types.is_large_list(kind)
    value = kind.value_type if is_list else kind
    if (value == pa.large_binary()) != (wanted == pa.large_binary()):
        becomes = ", which becomes text," if needs_text(field.type) else ""
        raise TableError(
            f"{location}: column '{field.name}' is {field.type}{becomes}; expected {name}, as in the schema: write it "
            "with that type, or correct the schema"
        )
    return pa.large_list(wanted) if is_list else wanted


def needs_text(kind: pa.DataType) -> bool:
    """Whether values become text in ISO 8601: dates, times and timestamps."""
    return any(test(kind) for test in _TIMES)


def as_text(values: pa.Array) -> pa.Array:
    """Dates, times or timestamps as text in ISO 8601, without zeros at the end of a fraction.

    >>> as_text(pa.array([1_357_016_400_500], pa.timestamp("ms", "UTC"))).to_pylist()
    ['2013-01-01T05:00:00.5Z']
    >>> as_text(pa.array([15_706], pa.date32())).to_pylist()
    ['2013-01-01']
    """
    kind = values.type
    if pa.types.is_timestamp(kind):
        texts = pc.replace_substring(values.cast(pa.timestamp(kind.unit)).cast(pa.string()), " ", "T")
    else:
        texts = values.cast(pa.string())
    if not pa.types.is_date(kind) and kind.unit != "s":
        texts = pc.replace_substring_regex(texts, r"\.?0*$", "")
    return pc.binary_join_element_wise(texts, "Z", "") if pa.types.is_timestamp(kind) and kind.tz else texts


def _value_type(kind: pa.DataType) -> pa.DataType | None:
    if pa.types.is_null(kind):
        return pa.null()
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_decimal(kind):  # databases store integers as decimals without digits after the point
        return pa.int64() if kind.scale <= 0 else pa.float32()
    if pa.types.is_floating(kind):
        return pa.float32()
    if needs_text(kind) or any(test(kind) for test in _TEXTS) or "binary" in str(kind):
        return pa.large_binary()
    return None
