"""Checks, before a run, of where ML Metadata is kept."""

from pathlib import Path

from lineage.errors import LineageError
from lineage.store.location import Server, save_location
from lineage.store.probe import probe
from pipeline.config.errors import ConfigError
from pipeline.config.settings import Config


def check_store(config: Config) -> None:
    """Checks, in seconds and without writing, that runs can be kept where the settings say.

    Raises:
        ConfigError: One line that says why not.
    """
    store = config.store
    for key in ("ca", "cert", "key") if isinstance(store, Server) else ():
        name = getattr(store, key)
        if name and not Path(name).is_file():
            raise ConfigError(f"metadata.ssl.{key}: found no file {name}; expected one in PEM's format")
    try:
        probe(store, to_write=True)
    except LineageError as error:
        raise ConfigError(f"metadata: {error}") from error


def prepare_store(config: Config) -> None:
    """Makes the store's tables if there are none, and leaves in the output folder where it is.

    Raises:
        ConfigError: As :func:`check_store`.
    """
    from lineage.store.connection import create_tables  # noqa: PLC0415 - ML Metadata takes time, which checks do not pay

    try:
        create_tables(config.store)
    except LineageError as error:
        raise ConfigError(f"metadata: {error}") from error
    save_location(config.store, Path(config.output))
