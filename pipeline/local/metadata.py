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


class RunStoppedError(RuntimeError):
    """A node in the background has nothing more to record, since its run has been stopped."""


class LocalMetadata(metadata.Metadata):
    """The store that the nodes of a local run read and write."""

    def __init__(self, connection: metadata_store_pb2.ConnectionConfig, stopped: threading.Event | None = None) -> None:
        """Prepares a connection.

        Args:
            connection: The store, without a password. The password is added here.
            stopped: Once this is set, the store cannot be opened any more.
        """
        super().__init__(with_password(connection))
        self._stopped = stopped

    def __enter__(self) -> "LocalMetadata":
        """Opens the store.

        Raises:
            UnavailableError: The store is unavailable, after several tries.
            RunStoppedError: The run was stopped.
        """
        with contextlib.ExitStack() as opened:
            opened.enter_context(_LOCK)
            if self._stopped and self._stopped.is_set():
                raise RunStoppedError("the run was stopped")
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


def wait_for_other_threads() -> None:
    """Waits until no other thread of this process has the store open."""
    with _LOCK:
        pass
