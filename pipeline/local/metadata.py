"""TFX's ML Metadata client, adapted to PostgreSQL and used by one thread at a time."""

import contextlib
import threading

from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata

from lineage.store.connection import with_password
from lineage.store.postgresql_patches import patch_store

# SQLite rejects a write while another one is in progress.
_LOCK = threading.RLock()


class LocalMetadata(metadata.Metadata):
    """The store that the nodes of a local run read and write."""

    def __init__(self, connection: metadata_store_pb2.ConnectionConfig) -> None:
        """Prepares a connection.

        Args:
            connection: The store, without a password. The password is added here.
        """
        super().__init__(with_password(connection))

    def __enter__(self) -> "LocalMetadata":
        """Opens the store.

        Raises:
            UnavailableError: The store is unavailable, after several tries.
        """
        with contextlib.ExitStack() as opened:
            opened.enter_context(_LOCK)
            try:
                super().__enter__()
            except RuntimeError as error:  # a node may raise RuntimeError too
                raise errors.UnavailableError(str(error)) from error
            if self._connection_config.HasField("postgresql"):
                patch_store(self.store)
            opened.pop_all()  # __exit__ releases the lock
        return self

    def __exit__(self, *error: object) -> None:
        """Closes the store and lets the next thread in."""
        try:
            super().__exit__(*error)
        finally:
            _LOCK.release()
