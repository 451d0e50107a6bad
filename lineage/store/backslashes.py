"""Replaces a character in all strings of a message, such as the backslashes that PostgreSQL cannot store."""

from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

BACKSLASH, PLACEHOLDER = "\\", "\uf05c"  # from Unicode's private use area, as in Cygwin


def replace_character(message: Message, old: str, new: str) -> None:
    """Replaces a character in all strings of a message, in place.

    >>> from google.protobuf.struct_pb2 import Struct
    >>> message = Struct()
    >>> message.update({"a/b": ["c/d"]})
    >>> replace_character(message, "/", "|")
    >>> dict(message.items())["a|b"][0]
    'c|d'
    """
    for field, value in message.ListFields():
        if field.message_type and field.message_type.GetOptions().map_entry:
            _replace_in_map(field, value, old, new)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for each in value if _is_repeated(value) else [value]:
                replace_character(each, old, new)
        elif field.type == FieldDescriptor.TYPE_STRING:
            if _is_repeated(value):
                value[:] = [text.replace(old, new) for text in value]
            else:
                setattr(message, field.name, value.replace(old, new))


def _replace_in_map(field: FieldDescriptor, entries: Any, old: str, new: str) -> None:
    """Does the same in the keys and values of a map. All maps of ML Metadata have string keys."""
    kind = field.message_type.fields_by_name["value"].type
    for key in list(entries):
        if kind == FieldDescriptor.TYPE_MESSAGE:
            replace_character(entries[key], old, new)
        elif kind == FieldDescriptor.TYPE_STRING:
            entries[key] = entries[key].replace(old, new)
        if old in key:
            renamed = key.replace(old, new)
            if kind == FieldDescriptor.TYPE_MESSAGE:
                entries[renamed].CopyFrom(entries[key])
            else:
                entries[renamed] = entries[key]
            del entries[key]


def _is_repeated(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | Message)
