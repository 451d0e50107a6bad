"""Works around two bugs of ML Metadata 1.21 on PostgreSQL.

* A string with a backslash is a syntax error. libpq escapes it as ``E'…'``, and ML Metadata removes the first and the
  last character to add its own quotes. Nodes have such strings: settings with JSON inside JSON.
* Rows that are requested by id come back in any order, updated rows last. TFX pairs requests and results by position,
  so a cached node would return its artifacts under each other's names.
"""

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message
from ml_metadata import metadata_store

from lineage.store.backslashes import BACKSLASH, PLACEHOLDER, replace_character

REQUESTED = ("artifact_ids", "execution_ids", "context_ids", "type_ids")
RETURNED = ("artifacts", "executions", "contexts", "artifact_types", "execution_types", "context_types")


class PostgresqlStore(metadata_store.MetadataStore):
    """A store on PostgreSQL that behaves like one in SQLite."""

    def _call(self, method_name: str, request: Message, response: Message, extra_options: Any = None) -> None:
        """Every method of the store calls this one."""
        if BACKSLASH.encode() in request.SerializeToString():
            sent = type(request)()
            sent.CopyFrom(request)
            replace_character(sent, BACKSLASH, PLACEHOLDER)
            request = sent
        super()._call(method_name, request, response, extra_options)
        if PLACEHOLDER.encode() in response.SerializeToString():
            replace_character(response, PLACEHOLDER, BACKSLASH)
        _sort(request, response)


def patch_store(store: metadata_store.MetadataStore) -> None:
    """Turns a store that TFX opened into a :class:`PostgresqlStore`."""
    store.__class__ = PostgresqlStore


def _sort(request: Message, response: Message) -> None:
    """Sorts rows by the requested ids, or by their own, unless the request has its own order."""
    fields = request.DESCRIPTOR.fields_by_name
    if "options" in fields and request.HasField("options"):
        return
    ids: Sequence[int] = next((list(getattr(request, name)) for name in REQUESTED if name in fields), ())
    positions = {each: position for position, each in reversed(list(enumerate(ids)))}
    for field, rows in response.ListFields():
        if field.name in RETURNED and not field.message_type.GetOptions().map_entry:
            ordered = sorted(rows, key=lambda row: (positions.get(row.id, 0), row.id))
            del rows[:]
            rows.extend(ordered)
