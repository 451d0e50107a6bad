"""Writes the splits of a table as shards of gzipped TFRecords, in the table's order."""

import dataclasses
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence

import tensorflow as tf
from apache_beam.io import iobase
from apache_beam.io.filesystems import FileSystems

from artifacts.names import split_folder
from custom_components.shared.examples import SUFFIX, TFRECORD_OPTIONS

SHARD_BYTES = 32 << 20  # of records, before they are zipped: several readers find work in a table that is worth it
PREFIX = "data_tfrecord"
Place = tuple[int, int]  # in the table: number of the file, number of the batch in it


@dataclasses.dataclass(frozen=True)
class Batch:
    """Rows that follow each other in the table.

    Attributes:
        place: Where in the table.
        rows: Serialized tf.Examples by split.
    """

    place: Place
    rows: Mapping[str, Sequence[bytes]]


@dataclasses.dataclass(frozen=True)
class Shard:
    """A file that was written.

    Attributes:
        split: The split.
        place: Where in the table its first row is.
        path: The file, in the temporary folder.
    """

    split: str
    place: Place
    path: str


class ShardWriter(iobase.Writer):
    """Writes batches to a temporary folder, one file a split and shard.

    A shard's rows follow each other in the table: a batch that does not follow the last one begins others. So the
    shards can be put into the table's order, whichever worker read which file.
    """

    def __init__(self, folder: str, name: str) -> None:
        """Makes a writer.

        Args:
            folder: Where the files are written.
            name: Sets them apart from those of other writers.
        """
        self._path = FileSystems.join(folder, name)
        self._numbers = itertools.count()
        self._open: dict[str, tuple[tf.io.TFRecordWriter, int]] = {}
        self._last: Place = (-1, -1)
        self._shards: list[Shard] = []

    def write(self, batch: Batch) -> None:
        """Writes the rows of a batch."""
        file, number = self._last
        if batch.place not in ((file, number + 1), (file + 1, 0)):
            self._close(list(self._open))
        self._last = batch.place
        for split, rows in batch.rows.items():
            if rows:
                self._write(split, rows, batch.place)

    def close(self) -> list[Shard]:
        """Ends the last shards, and returns all."""
        self._close(list(self._open))
        return self._shards

    def _write(self, split: str, rows: Sequence[bytes], place: Place) -> None:
        if split not in self._open:
            path = f"{self._path}-{next(self._numbers)}{SUFFIX}"
            self._shards.append(Shard(split, place, path))
            self._open[split] = tf.io.TFRecordWriter(path, TFRECORD_OPTIONS), 0
        writer, size = self._open[split]
        for row in rows:
            writer.write(row)
        size += sum(map(len, rows))
        self._open[split] = writer, size
        if size >= SHARD_BYTES:
            self._close([split])

    def _close(self, splits: Iterable[str]) -> None:
        for split in splits:
            writer, _ = self._open.pop(split)
            writer.close()


class ShardSink(iobase.Sink):
    """Beam's sink of batches: workers write shards, which are named and moved where they belong once all are there."""

    skip_if_empty = True  # Beam asks; files of splits without rows are made here

    def __init__(self, folder: str, splits: Sequence[str]) -> None:
        """Makes the sink.

        Args:
            folder: Where the splits' folders are.
            splits: Their names.
        """
        self._folder, self._splits = folder, tuple(splits)

    def initialize_write(self) -> str:
        """Makes the temporary folder."""
        folder = str(FileSystems.join(self._folder, f"beam-temp-{PREFIX}"))
        if not FileSystems.exists(folder):
            FileSystems.mkdirs(folder)
        return folder

    def open_writer(self, init_result: str, uid: str) -> ShardWriter:
        """Makes a worker's writer."""
        return ShardWriter(init_result, uid)

    def pre_finalize(self, _init_result: str, _writer_results: Iterable[list[Shard]]) -> list[str]:
        """Removes what an earlier attempt at the same artifact left behind."""
        patterns = [os.path.join(self._folder, split_folder(split), PREFIX + "-*") for split in self._splits]
        old = [each.path for match in FileSystems.match(patterns) for each in match.metadata_list]
        if old:
            FileSystems.delete(old)
        return old

    def finalize_write(
        self, init_result: str, writer_results: Iterable[list[Shard]], _pre_finalize_results: object
    ) -> list[str]:
        """Moves the shards to their places; may be called again when it was cut off."""
        if not FileSystems.exists(init_result):  # all was moved before
            return []
        found = sorted(itertools.chain.from_iterable(writer_results), key=lambda shard: (shard.place, shard.path))
        moves = {}
        for split in self._splits:
            paths = [shard.path for shard in found if shard.split == split] or [self._empty(init_result, split)]
            folder = FileSystems.join(self._folder, split_folder(split))
            if not FileSystems.exists(folder):
                FileSystems.mkdirs(folder)
            for number, path in enumerate(paths):
                moves[path] = FileSystems.join(folder, f"{PREFIX}-{number:05}-of-{len(paths):05}{SUFFIX}")
        left = {path: target for path, target in moves.items() if FileSystems.exists(path)}
        FileSystems.rename(list(left), list(left.values()))
        FileSystems.delete([init_result])
        return list(moves.values())

    def _empty(self, folder: str, split: str) -> str:
        path = f"{folder}/{split}{SUFFIX}"
        tf.io.TFRecordWriter(path, TFRECORD_OPTIONS).close()
        return path
