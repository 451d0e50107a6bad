"""Writes how many rows of the table are in no split."""

from collections.abc import Mapping

from apache_beam.io.filesystems import FileSystems

from artifacts.names import LEFT_OUT_FILE
from artifacts.nodes.left_out import left_out_json


def write_left_out(folder: str, rows: Mapping[str, int]) -> None:
    """Writes the number of rows by reason into the folder of an ``Examples`` artifact, local or remote."""
    with FileSystems.create(FileSystems.join(folder, LEFT_OUT_FILE), "application/json") as file:
        file.write(left_out_json(rows).encode())
