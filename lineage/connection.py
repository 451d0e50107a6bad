"""Opens ML Metadata for reading."""

from pathlib import Path

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from lineage.errors import LineageError

STORE = "metadata.db"
SQLITE_HEADER = b"SQLite format 3\0"


def connect(output: Path) -> metadata_store.MetadataStore:
    """Opens the store of a run's output folder.

    Raises:
        LineageError: There is none, or it is no store.
    """
    path = output / STORE
    if not path.exists():
        raise LineageError(f"{path}: not there; expected the output folder of a run (--output)")
    try:
        with path.open("rb") as file:
            start = file.read(len(SQLITE_HEADER))
    except OSError as error:
        raise LineageError(f"{path}: {error.strerror}; expected ML Metadata's SQLite file (--output)") from error
    if start != SQLITE_HEADER:
        raise LineageError(f"{path}: this is no SQLite database; expected ML Metadata's (--output)")
    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(path)
    connection.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE
    return metadata_store.MetadataStore(connection)
