"""Two things that ML Metadata 1.21 does wrong on PostgreSQL, mended on the way there and back.

* Text with a backslash is a syntax error: libpq writes it as ``E'…'``, of which ML Metadata cuts the first and the last
  character to put quotes of its own around. JSON within JSON, which nodes have among their settings, is such text.
* What is asked for by ids comes back in any order, and an updated row last. TFX pairs answers and questions by their
  place: a cached node would give out its artifacts under each other's names.
"""

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message
from ml_metadata import metadata_store

from lineage.store.backslashes import BACKSLASH, STAND_IN, exchange

ASKED = ("artifact_ids", "execution_ids", "context_ids", "type_ids")
FOUND = ("artifacts", "executions", "contexts", "artifact_types", "execution_types", "context_types")


class PostgresqlStore(metadata_store.MetadataStore):
    """A store that answers as one in SQLite does."""

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
        _order(request, response)


def mend(store: metadata_store.MetadataStore) -> None:
    """Makes a :class:`PostgresqlStore` of a store that somebody else opened."""
    store.__class__ = PostgresqlStore


def _order(request: Message, response: Message) -> None:
    """Puts what was found in the order of the ids that were asked for, or else of its own, unless one was asked for."""
    known = request.DESCRIPTOR.fields_by_name
    if "options" in known and request.HasField("options"):
        return
    asked: Sequence[int] = next((list(getattr(request, name)) for name in ASKED if name in known), ())
    places = {each: place for place, each in reversed(list(enumerate(asked)))}
    for field, found in response.ListFields():
        if field.name in FOUND and not field.message_type.GetOptions().map_entry:
            ordered = sorted(found, key=lambda message: (places.get(message.id, 0), message.id))
            del found[:]
            found.extend(ordered)
