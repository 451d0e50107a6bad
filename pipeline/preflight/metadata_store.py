"""Checks and prepares the ML Metadata store before a run."""

from pathlib import Path

from lineage.errors import LineageError
from lineage.store.location import Server, save_location
from lineage.store.probe import probe
from pipeline.config.errors import ConfigError
from pipeline.config.settings import Config


def check_store(config: Config) -> None:
    """Checks within seconds, and without writing, that the store is available and writable.

    Raises:
        ConfigError: One line with the reason if it is not.
    """
    store = config.store
    for key in ("ca", "cert", "key") if isinstance(store, Server) else ():
        name = getattr(store, key)
        if name and not Path(name).is_file():
            raise ConfigError(f"metadata.ssl.{key}: found no file {name}; expected a PEM file")
    try:
        probe(store, writable=True)
    except LineageError as error:
        raise ConfigError(f"metadata: {error}") from error


def prepare_store(config: Config) -> None:
    """Creates the tables of the store if they do not exist, and saves its location in the output folder.

    Raises:
        ConfigError: Like :func:`check_store`.
    """
    from lineage.store.connection import create_tables  # noqa: PLC0415 - ML Metadata is slow to import

    try:
        create_tables(config.store)
    except LineageError as error:
        raise ConfigError(f"metadata: {error}") from error
    save_location(config.store, Path(config.output))
