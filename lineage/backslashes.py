"""Text with backslashes in ML Metadata on PostgreSQL.

libpq writes a literal that holds a backslash as ``E'…'``, of which ML Metadata 1.21 cuts the first and the last
character to put quotes of its own around: a syntax error, for every JSON text within JSON that a node has among its
settings. A character of Unicode's private use area stands for the backslash there, the one that Cygwin writes for it.
"""

from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from ml_metadata import metadata_store

BACKSLASH, STAND_IN = "\\", "\uf05c"


class Mended(metadata_store.MetadataStore):
    """A store whose text is exchanged on the way there and back."""

    def _call(self, method_name: str, request: Message, response: Message, extra_options: Any = None) -> None:
        """What all of its methods go through."""
        if BACKSLASH.encode() in request.SerializeToString():
            sent = type(request)()
            sent.CopyFrom(request)
            exchange(sent, BACKSLASH, STAND_IN)
            request = sent
        super()._call(method_name, request, response, extra_options)
        if STAND_IN.encode() in response.SerializeToString():
            exchange(response, STAND_IN, BACKSLASH)


def mend(store: metadata_store.MetadataStore) -> None:
    """Makes a :class:`Mended` of a store that somebody else opened."""
    store.__class__ = Mended


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
