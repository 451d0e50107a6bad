"""TFX's way to ML Metadata, with what PostgreSQL needs."""

from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata

from lineage.connection import signed_in
from lineage.postgresql import mend


class StoreHandle(metadata.Metadata):
    """A store that nodes read and write."""

    def __init__(self, connection: metadata_store_pb2.ConnectionConfig) -> None:
        """Takes which store it is.

        Args:
            connection: Without the password, which is added here.
        """
        super().__init__(signed_in(connection))

    def __enter__(self) -> "StoreHandle":
        super().__enter__()
        if self._connection_config.HasField("postgresql"):
            mend(self.store)
        return self
