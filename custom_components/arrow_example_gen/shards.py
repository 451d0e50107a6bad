"""Writes the splits of a table as shards of gzipped TFRecords, in the table's order."""

import collections
import dataclasses
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence

import tensorflow as tf
from apache_beam.io import iobase
from apache_beam.io.filesystems import FileSystems

from artifacts.fingerprint import FileDigest, is_fingerprint
from artifacts.names import LEFT_OUT_FILE, split_folder
from common.remote_paths import is_remote
from custom_components.arrow_example_gen.formats.files import TableError, name_of
from custom_components.arrow_example_gen.splits.strategy import NumberedFile, fingerprint_of
from custom_components.shared.examples import SUFFIX, TFRECORD_OPTIONS
from custom_components.shared.left_out import write_left_out

SHARD_BYTES = 32 << 20  # of records before compression; a large table gets several shards for parallel readers
PREFIX = "data_tfrecord"
Position = tuple[int, int]  # in the table: number of the file, number of the batch in the file


@dataclasses.dataclass(frozen=True)
class Batch:
    """Consecutive rows of the table.

    Attributes:
        position: Position in the table.
        rows: Serialized tf.Examples by split.
        digest: Digest of the file, after its last batch.
        left_out: Number of rows that are in no split, by reason.
    """

    position: Position
    rows: Mapping[str, Sequence[bytes]]
    digest: FileDigest | None = None
    left_out: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Shard:
    """A file that was written.

    Attributes:
        split: The split.
        position: Position of its first row in the table.
        path: The file, in the temporary folder.
    """

    split: str
    position: Position
    path: str


@dataclasses.dataclass(frozen=True)
class Written:
    """What a worker wrote.

    Attributes:
        shards: Its files.
        digests: Digests of the table's files that it read, by their numbers.
        left_out: Number of rows that are in no split, by reason.
    """

    shards: Sequence[Shard]
    digests: Mapping[int, FileDigest]
    left_out: Mapping[str, int] = dataclasses.field(default_factory=dict)


class ShardWriter(iobase.Writer):
    """Writes batches to a temporary folder, one file per split and shard.

    The rows of a shard are consecutive: a batch that does not follow the last one starts new shards. So the shards can
    be sorted into the table's order, no matter which worker read which file.
    """

    def __init__(self, folder: str, name: str) -> None:
        """Creates a writer.

        Args:
            folder: Folder of the files.
            name: Prefix of the files' names, unique for each writer.
        """
        self._path = FileSystems.join(folder, name)
        self._numbers = itertools.count()
        self._open: dict[str, tuple[tf.io.TFRecordWriter, int]] = {}
        self._last: Position = (-1, -1)
        self._shards: list[Shard] = []
        self._digests: dict[int, FileDigest] = {}
        self._left_out: collections.Counter[str] = collections.Counter()

    def write(self, batch: Batch) -> None:
        """Writes the rows of a batch."""
        if batch.digest:
            self._digests[batch.position[0]] = batch.digest
        self._left_out.update(batch.left_out)
        file, number = self._last
        if batch.position not in ((file, number + 1), (file + 1, 0)):
            self._close(list(self._open))
        self._last = batch.position
        for split, rows in batch.rows.items():
            if rows:
                self._write(split, rows, batch.position)

    def close(self) -> Written:
        """Closes the last shards, and returns all."""
        self._close(list(self._open))
        return Written(self._shards, self._digests, dict(self._left_out))

    def _write(self, split: str, rows: Sequence[bytes], position: Position) -> None:
        if split not in self._open:
            path = f"{self._path}-{next(self._numbers)}{SUFFIX}"
            self._shards.append(Shard(split, position, path))
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
    """A Beam sink for batches: workers write shards, which are renamed and moved once all are written."""

    skip_if_empty = True  # required by Beam, although empty splits get a file here

    def __init__(
        self, folder: str, splits: Sequence[str], files: Sequence[NumberedFile] = (), fingerprint: str | None = None
    ) -> None:
        """Creates the sink.

        Args:
            folder: Folder of the artifact.
            splits: Names of the splits.
            files: Files of the table, with those of the test table at the end.
            fingerprint: Fingerprint that the files must have. ``None``, or one that TFX made, is not checked.
        """
        self._folder, self._splits = folder, tuple(splits)
        self._files, self._fingerprint = tuple(files), fingerprint

    def initialize_write(self) -> str:
        """Creates the temporary folder."""
        folder = str(FileSystems.join(self._folder, f"beam-temp-{PREFIX}"))
        if not FileSystems.exists(folder):
            FileSystems.mkdirs(folder)
        return folder

    def open_writer(self, init_result: str, uid: str) -> ShardWriter:
        """Creates the writer of a worker."""
        return ShardWriter(init_result, uid)

    def pre_finalize(self, _init_result: str, writer_results: Iterable[Written]) -> list[str]:
        """Removes the files of an earlier attempt at the same artifact.

        Raises:
            TableError: The files of the table changed after their fingerprint was made.
        """
        if self._fingerprint and is_fingerprint(self._fingerprint):
            digests = dict(itertools.chain.from_iterable(each.digests.items() for each in writer_results))
            if fingerprint_of(self._files, digests) != self._fingerprint:
                raise changed_files([file.path for file in self._files])
        patterns = [os.path.join(self._folder, split_folder(split), PREFIX + "-*") for split in self._splits]
        patterns.append(os.path.join(self._folder, LEFT_OUT_FILE))
        old = [each.path for match in FileSystems.match(patterns) for each in match.metadata_list]
        if old:
            FileSystems.delete(old)
        return old

    def finalize_write(
        self, init_result: str, writer_results: Iterable[Written], _pre_finalize_results: object
    ) -> list[str]:
        """Moves the shards into the folders of their splits. May be called again if it was interrupted."""
        if not FileSystems.exists(init_result):  # everything has already been moved
            return []
        results = list(writer_results)
        left_out: collections.Counter[str] = collections.Counter()
        for each in results:
            left_out.update(each.left_out)
        if left_out:
            write_left_out(self._folder, left_out)
        shards = itertools.chain.from_iterable(each.shards for each in results)
        found = sorted(shards, key=lambda shard: (shard.position, shard.path))
        moves = {}
        for split in self._splits:
            paths = [shard.path for shard in found if shard.split == split] or [self._empty(init_result, split)]
            folder = FileSystems.join(self._folder, split_folder(split))
            if not FileSystems.exists(folder):
                FileSystems.mkdirs(folder)
            for number, path in enumerate(paths):
                moves[path] = FileSystems.join(folder, f"{PREFIX}-{number:05}-of-{len(paths):05}{SUFFIX}")
        remaining = {path: target for path, target in moves.items() if FileSystems.exists(path)}
        FileSystems.rename(list(remaining), list(remaining.values()))
        FileSystems.delete([init_result])
        return list(moves.values())

    def _empty(self, folder: str, split: str) -> str:
        path = f"{folder}/{split}{SUFFIX}"
        tf.io.TFRecordWriter(path, TFRECORD_OPTIONS).close()
        return path


def changed_files(paths: Sequence[str]) -> TableError:
    """The error for files that are not those whose fingerprint was made."""
    local = [path for path in paths if not is_remote(path) and os.path.exists(path)]
    last = max(local, key=lambda path: os.stat(path).st_mtime_ns, default=None)
    newest = f" ({name_of(last)} was written last)" if last else ""
    return TableError(
        f"{os.path.dirname(paths[0])}: the files changed after they were checked{newest}; expected the same rows: run "
        "again when nothing writes to them"
    )
