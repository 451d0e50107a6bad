"""Parses and builds large protocol buffers in slices, so that other threads run in between.

It relies on a rule of the wire format: parsing the parts of a message one after the other into the same message, split
between two fields, gives the same result as parsing the whole. See https://protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from serving.slices import let_others_run

M = TypeVar("M", bound=Message)
SLICE_BYTES = 1 << 17  # parsed in about a millisecond
LENGTH_DELIMITED = 2  # a wire type
KEY, VALUE = 1, 2  # fields of an entry of a map
MAX_VARINT_BYTES = 10
# Bytes per element. The elements of other numeric types are varints.
WIDTHS = {
    **dict.fromkeys((FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_FIXED32, FieldDescriptor.TYPE_SFIXED32), 4),
    **dict.fromkeys((FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FIXED64, FieldDescriptor.TYPE_SFIXED64), 8),
}
TEXTS = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)


def parse(message_class: type[M], serialized: bytes) -> M:
    """Parses a message. Other threads run in between if it is large.

    Raises:
        DecodeError: The bytes are not such a message.
    """
    if len(serialized) <= SLICE_BYTES:
        return message_class.FromString(serialized)
    message = message_class()
    try:
        merge(message, memoryview(serialized))
    except (ValueError, RecursionError):  # names that are not UTF-8, or groups, which nobody writes any more
        return message_class.FromString(serialized)
    except IndexError as error:
        raise DecodeError("an incomplete varint") from error
    return message


def length_delimited(number: int, content: bytes | memoryview) -> bytes:
    r"""Returns a field with a length, such as bytes or packed numbers.

    >>> length_delimited(2, b"ab")
    b'\x12\x02ab'
    """
    return b"".join((field_head(number, len(content)), content))


def field_head(number: int, size: int) -> bytes:
    """Returns what precedes the content of a field with a length: the tag and the length.

    Args:
        number: Number of the field.
        size: Length of the content, in bytes.
    """
    return varint(number << 3 | LENGTH_DELIMITED) + varint(size)


def varint(value: int) -> bytes:
    r"""Returns a number as a varint.

    >>> varint(300)
    b'\xac\x02'
    """
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def read_varint(data: memoryview, position: int) -> tuple[int, int]:
    r"""Reads a varint, and returns its value and the position after it.

    >>> read_varint(memoryview(b"\xac\x02"), 0)
    (300, 2)

    Raises:
        DecodeError: It has more than ten bytes.
        IndexError: It is incomplete.
    """
    value = data[position]
    position += 1
    if value < 0x80:
        return value, position
    value &= 0x7F
    for shift in range(7, 7 * MAX_VARINT_BYTES, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise DecodeError("a varint of more than ten bytes")


class Field(NamedTuple):
    """A field on the wire.

    Attributes:
        number: Its number.
        start: Where its tag starts.
        content: Where its content starts, or -1 if it has no length.
        end: Where the next field starts.
    """

    number: int
    start: int
    content: int
    end: int


def fields(data: memoryview) -> Iterator[Field]:
    """Yields the fields of a message.

    Raises:
        DecodeError: A field is incomplete.
        IndexError: A varint is incomplete.
        ValueError: The message contains a group.
    """
    position = 0
    while position < len(data):
        start, content = position, -1
        tag, position = read_varint(data, position)
        match tag & 7:
            case 0:  # a varint
                _, position = read_varint(data, position)
            case 1:  # 64 bits
                position += 8
            case 2:  # a length and as many bytes
                size, content = read_varint(data, position)
                position = content + size
            case 5:  # 32 bits
                position += 4
            case _:
                raise ValueError("a group")
        if position > len(data):
            raise DecodeError("an incomplete field")
        yield Field(tag >> 3, start, content, position)


def merge(message: Any, data: memoryview) -> None:
    """Parses fields into a message: many small ones at a time, and large ones in parts.

    Raises:
        DecodeError: A field is malformed.
        IndexError: A varint is incomplete.
        ValueError: A name is not valid UTF-8, or there is a group.
    """
    known = message.DESCRIPTOR.fields_by_number
    start = 0  # of the fields that have not been parsed yet
    for field in fields(data):
        is_large = field.content >= 0 and field.end - field.start > SLICE_BYTES and field.number in known
        if start < field.start and (is_large or field.end - start > SLICE_BYTES):
            message.MergeFromString(data[start : field.start])
            start = field.start
            let_others_run()
        if is_large:
            _merge_large(message, known[field.number], data[field.start : field.end], data[field.content : field.end])
            start = field.end
            let_others_run()
    message.MergeFromString(data[start:])


def _merge_large(message: Any, field: FieldDescriptor, whole: memoryview, content: memoryview) -> None:
    """Parses a large field with a length.

    Args:
        message: The message that it belongs to.
        field: Its descriptor.
        whole: The field with its tag and length.
        content: The field without them.
    """
    if _is_map(field) and field.message_type.fields_by_name["value"].message_type and _is_usual_entry(content):
        _merge_entry(getattr(message, field.name), content)
    elif field.message_type and not _is_map(field):
        target = getattr(message, field.name)
        if field.is_repeated:
            target = target.add()
        else:
            target.SetInParent()
        merge(target, content)
    elif field.is_repeated and field.type not in TEXTS and not _is_map(field):
        _merge_packed(message, field, content)
    else:
        message.MergeFromString(whole)


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def _is_usual_entry(content: memoryview) -> bool:
    """Returns whether an entry of a map has nothing but keys and values. An unknown field changes what it means."""
    return all(field.number in (KEY, VALUE) and field.content >= 0 for field in fields(content))


def _merge_entry(target: Any, content: memoryview) -> None:
    """Adds an entry to a map from strings to messages. The last entry with a key replaces the others."""
    key, values = "", []
    for field in fields(content):
        if field.number == KEY:
            key = str(content[field.content : field.end], "utf-8")
        else:
            values.append(content[field.content : field.end])
    if key in target:
        del target[key]
    message = target[key]  # adds it
    for value in values:
        merge(message, value)


def _merge_packed(message: Any, field: FieldDescriptor, content: memoryview) -> None:
    width = WIDTHS.get(field.type)
    start = 0
    while start < len(content):
        end = min(start + SLICE_BYTES, len(content))
        while not width and end < len(content) and content[end - 1] >= 0x80:  # inside a varint
            end += 1
        message.MergeFromString(length_delimited(field.number, content[start:end]))
        start = end
        let_others_run()
