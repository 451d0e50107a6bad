"""A stand-in for the backslashes in ML Metadata's messages."""

from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

BACKSLASH, STAND_IN = "\\", "\uf05c"  # of Unicode's private use area; Cygwin writes it for the same


def exchange(message: Message, old: str, new: str) -> None:
    """Replaces a character in all text of a message, in place."""
    for field, value in message.ListFields():
        if field.message_type and field.message_type.GetOptions().map_entry:
            _exchange_map(field, value, old, new)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for each in value if _is_list(value) else [value]:
                exchange(each, old, new)
        elif field.type == FieldDescriptor.TYPE_STRING:
            if _is_list(value):
                value[:] = [text.replace(old, new) for text in value]
            else:
                setattr(message, field.name, value.replace(old, new))


def _exchange_map(field: FieldDescriptor, value: Any, old: str, new: str) -> None:
    """The same for a map, whose keys are text in all of ML Metadata's messages."""
    kind = field.message_type.fields_by_name["value"].type
    for key in list(value):
        if kind == FieldDescriptor.TYPE_MESSAGE:
            exchange(value[key], old, new)
        elif kind == FieldDescriptor.TYPE_STRING:
            value[key] = value[key].replace(old, new)
        if old in key:
            renamed = key.replace(old, new)
            if kind == FieldDescriptor.TYPE_MESSAGE:
                value[renamed].CopyFrom(value[key])
            else:
                value[renamed] = value[key]
            del value[key]


def _is_list(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | Message)
