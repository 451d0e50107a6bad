"""TFX's way to ML Metadata, with what PostgreSQL needs, for one thread at a time."""

import contextlib
import threading

from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata

from lineage.store.connection import signed_in
from lineage.store.postgresql import mend

# SQLite refuses who writes while another one does.
_ONE_AT_A_TIME = threading.RLock()


class StoreHandle(metadata.Metadata):
    """A store that nodes read and write."""

    def __init__(self, connection: metadata_store_pb2.ConnectionConfig) -> None:
        """Takes which store it is.

        Args:
            connection: Without the password, which is added here.
        """
        super().__init__(signed_in(connection))

    def __enter__(self) -> "StoreHandle":
        """Opens the store.

        Raises:
            UnavailableError: It is gone, after some tries.
        """
        with contextlib.ExitStack() as opened:
            opened.enter_context(_ONE_AT_A_TIME)
            try:
                super().__enter__()
            except RuntimeError as error:  # so that it can be told from a node's own
                raise errors.UnavailableError(str(error)) from error
            if self._connection_config.HasField("postgresql"):
                mend(self.store)
            opened.pop_all()  # __exit__ lets the next one in
        return self

    def __exit__(self, *error: object) -> None:
        """Closes the store, for whoever waits for it."""
        try:
            super().__exit__(*error)
        finally:
            _ONE_AT_A_TIME.release()
