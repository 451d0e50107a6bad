"""Computes the vocabularies of all columns together.

``tft.vocabulary`` adds dozens of steps to the Beam pipeline for each column. Beam needs time to plan and start each of
them, with any number of rows. Here all columns share a few steps, and the result is the same: the words, their order,
the files and their names.
"""

import heapq
import itertools
import math
import os
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from apache_beam.transforms.window import GlobalWindows
from tensorflow_transform.analyzer_nodes import TemporaryAssetInfo, TensorInfo
from tensorflow_transform.analyzers import get_empy_vocabulary_dummy_value, sanitized_vocab_filename
from tensorflow_transform.beam.experimental import PTransformAnalyzer
from tensorflow_transform.experimental.analyzers import _apply_analyzer

from models.problem.categories import Vocabulary
from models.problem.lists import Tags, Text

# What a file contains while the graph is traced, before its words are known. It can be read as text and as a number.
UNKNOWN_WORDS = b"-777777"
MISSING_WORD = b""
WRITE_WORDS = 100_000  # that are written at once
TOGETHER, PLACES, WRITTEN = "vocabularies", "places", "written"  # TOGETHER is also the name of the file of all columns

Pair: TypeAlias = tuple[int, bytes]  # number of rows with a word, and the word, so that pairs sort as in TFT
Limits: TypeAlias = Vocabulary | Text | Tags


class Column(NamedTuple):
    """A column whose vocabulary is computed.

    Attributes:
        words: String [N, width], with the empty string where a value is missing.
        is_integer: Whether the words are integers, in decimal notation.
        spec: Which words to keep.
        has_idf: Whether to compute the inverse document frequencies of the words.
    """

    words: tf.Tensor
    is_integer: bool
    spec: Limits
    has_idf: bool = False


class VocabularyFile(NamedTuple):
    """The file of a vocabulary.

    Attributes:
        name: Name of the file.
        is_integer: As in :class:`Column`.
        spec: As in :class:`Column`.
        has_idf: As in :class:`Column`.
        width: Number of words per row.
    """

    name: str
    is_integer: bool
    spec: Limits
    has_idf: bool = False
    width: int = 1

    def best(self, pairs: Iterable[Pair]) -> list[Pair]:
        """Returns the words to keep of those that are frequent enough, in order."""
        top_k = self.spec.top_k
        best = sorted(pairs, reverse=True) if top_k is None else heapq.nlargest(top_k, pairs)
        # TensorFlow cannot read an empty file.
        return best or [(0, get_empy_vocabulary_dummy_value(tf.int64 if self.is_integer else tf.string)[1])]


class Vocabularies(NamedTuple):
    """The analyzed vocabularies of several columns.

    Attributes:
        together: The path of a file with the words of all columns, each after :func:`prefix` of its column.
        starts: Number of words before those of each column, int64 [C].
        sizes: Number of words of each column, int64 [C].
    """

    together: Any
    starts: tf.Tensor
    sizes: tf.Tensor


def prefix(place: int) -> str:
    """What precedes a word in the file of all columns, given the place of its column.

    >>> prefix(12)
    '12:'
    """
    return f"{place}:"


def vocabularies(columns: Mapping[str, Column]) -> Vocabularies:
    """Does what :func:`vocabulary_files` does, and writes one more file with the words of all columns.

    Args:
        columns: At least one column, by the name of the vocabulary in ``tft.TFTransformOutput``.
    """
    *_, together, places = _analyze(columns, TOGETHER)
    return Vocabularies(together, places[0], places[1])


def vocabulary_files(columns: Mapping[str, Column]) -> dict[str, Any]:
    """Analyzes the columns and writes one file per vocabulary, which becomes an asset of the Transform graph.

    Words are sorted by the number of rows with them, and words of the same number by their bytes, in descending order.
    Words that contain a line break are left out, as in ``tft.vocabulary``.

    Args:
        columns: The columns, by the name of the vocabulary in ``tft.TFTransformOutput``.

    Returns:
        The path of each file by the name of the vocabulary, for ``tft.apply_vocabulary``.
    """
    return {name: each.path for name, each in document_vocabularies(columns).items()}


class Analyzed(NamedTuple):
    """The vocabulary of a column.

    Attributes:
        path: The path of its file, for ``tft.apply_vocabulary``.
        idf: The inverse document frequency of each word, ``log((1 + rows) / (1 + rows with it)) + 1`` as in
            scikit-learn: float32 [words], or ``None``.
    """

    path: Any
    idf: tf.Tensor | None


def document_vocabularies(columns: Mapping[str, Column]) -> dict[str, Analyzed]:
    """Does what :func:`vocabulary_files` does, and computes inverse document frequencies."""
    found = _analyze(columns) if columns else []
    idf = dict(zip([name for name, each in columns.items() if each.has_idf], found[len(columns) :], strict=True))
    return {name: Analyzed(path, idf.get(name)) for name, path in zip(columns, found, strict=False)}


def _analyze(columns: Mapping[str, Column], together: str = "") -> list[tf.Tensor]:
    """Returns the outputs of :class:`WriteVocabularies`."""
    files = [
        VocabularyFile(sanitized_vocab_filename(name), *column[1:], column.words.shape[1])
        for name, column in columns.items()
    ]
    path = TensorInfo(tf.string, [], TemporaryAssetInfo(UNKNOWN_WORDS, "text"))
    outputs = [path] * len(files)
    if together:
        outputs += [path, TensorInfo(tf.int64, [2, len(files)], None)]
    outputs += [TensorInfo(tf.float32, [None], None) for file in files if file.has_idf]
    with tf.name_scope("vocabularies"):
        # tft.experimental.ptransform_analyzer takes either paths or numbers.
        words = tf.concat([column.words for column in columns.values()], axis=1)
        found = _apply_analyzer(WriteVocabularies(files, together), words, output_tensor_info_list=outputs)
    for name, file in zip(columns, files, strict=True):
        tft.annotate_asset(name, file.name)
    return list(found)


class WriteVocabularies(PTransformAnalyzer):
    """Counts the words of all columns and writes the vocabularies.

    The input is a collection of batches, each a tuple of one array of strings, the words of all C columns side by side.
    The outputs are C collections of one path each. If there is a file of all columns, its path and an array [2, C]
    follow: for each column, the number of words before its own, and of its own. The last are arrays of the inverse
    document frequencies of the columns that have them.
    """

    def __init__(self, files: Sequence[VocabularyFile], together: str = "") -> None:
        """Creates the transform.

        Args:
            files: The vocabularies.
            together: Name of the file of all columns, or an empty string for none.
        """
        super().__init__()
        self._files, self._together = files, together

    def expand(self, batches: beam.PCollection) -> Any:
        """Returns a tuple of collections, one per output."""
        counted = (
            batches
            | "CountInBatch" >> beam.FlatMap(_count, self._files).with_output_types(tuple[tuple[int, bytes], int])
            | "Sum" >> beam.CombinePerKey(sum)
            | "Select" >> beam.ParDo(_Select([file.spec for file in self._files])).with_output_types(tuple[int, Pair])
        )
        # Each column has a file, even if it has no word.
        no_words = [(index, (0, MISSING_WORD)) for index in range(len(self._files))]
        columns = batches.pipeline | beam.Create(no_words, reshuffle=False).with_output_types(tuple[int, Pair])
        tags = [str(index) for index in range(len(self._files))]
        idfs = [_idf_tag(index) for index, file in enumerate(self._files) if file.has_idf]
        paths = (
            (counted, columns)
            | beam.Flatten()
            | beam.GroupByKey()
            | "Write" >> beam.ParDo(_Write(self._files, self.base_temp_dir)).with_outputs(*tags, *idfs, main=WRITTEN)
        )
        files, frequencies = [paths[tag] for tag in tags], [paths[tag] for tag in idfs]
        if not self._together:
            return *files, *frequencies
        joined = (
            paths[WRITTEN]
            | "Written" >> beam.combiners.ToList()
            | "Join"
            >> beam.FlatMap(_join, os.path.join(self.base_temp_dir, self._together)).with_outputs(PLACES, main=TOGETHER)
        )
        return *files, joined[TOGETHER], joined[PLACES], *frequencies


def _count(batch: tuple[Any], files: Sequence[VocabularyFile]) -> Iterator[tuple[tuple[int, bytes], int]]:
    """Yields the number of rows with each word, by column. The missing word stands for the number of all rows."""
    [words] = batch
    ends = list(itertools.accumulate(file.width for file in files))
    for index, (file, column) in enumerate(zip(files, np.split(words, ends[:-1], axis=1), strict=True)):
        if file.width == 1:
            counter = Counter(column[:, 0].tolist())
        else:
            counter = Counter(word for row in column.tolist() for word in set(row))
        for word, count in counter.items():
            if word != MISSING_WORD and b"\n" not in word and b"\r" not in word:
                yield (index, word), count
        if file.has_idf:
            yield (index, MISSING_WORD), len(words)


class _Select(beam.DoFn):
    """Leaves out rare words, and those that are not among the most frequent ones of a bundle of rows.

    This way only words that may be in the vocabulary are sent to the worker that writes it.
    """

    def __init__(self, specs: Sequence[Limits]) -> None:
        super().__init__()
        self._specs = specs

    def start_bundle(self) -> None:
        self._best = defaultdict[int, list[Pair]](list)

    def process(self, element: tuple[tuple[int, bytes], int]) -> Iterator[tuple[int, Pair]]:
        (index, word), count = element
        spec = self._specs[index]
        if count < spec.min_frequency and word != MISSING_WORD:
            return
        if spec.top_k is None or word == MISSING_WORD:
            yield index, (count, word)
        elif len(self._best[index]) < spec.top_k:
            heapq.heappush(self._best[index], (count, word))
        else:
            heapq.heappushpop(self._best[index], (count, word))

    def finish_bundle(self) -> Iterator[Any]:
        for index, pairs in self._best.items():
            yield from (GlobalWindows.windowed_value((index, pair)) for pair in pairs)


class _Write(beam.DoFn):
    """Writes the vocabulary of a column, and yields its path under the column's tag, and its place, path and size."""

    def __init__(self, files: Sequence[VocabularyFile], folder: str) -> None:
        super().__init__()
        self._files, self._folder = files, folder

    def process(self, element: tuple[int, Iterable[Pair]]) -> Iterator[Any]:
        index, pairs = element[0], list(element[1])
        file = self._files[index]
        path = os.path.join(self._folder, file.name)
        best = file.best(pair for pair in pairs if pair[1] != MISSING_WORD)
        _write(path, [word for _, word in best])
        yield beam.pvalue.TaggedOutput(str(index), np.array(path))
        if file.has_idf:
            rows = sum(count for count, word in pairs if word == MISSING_WORD)
            idf = [math.log((1 + rows) / (1 + count)) + 1 for count, _ in best]
            yield beam.pvalue.TaggedOutput(_idf_tag(index), np.array(idf, np.float32))
        yield index, path, len(best)


def _idf_tag(index: int) -> str:
    return f"{index}_idf"


def _join(written: Sequence[tuple[int, str, int]], path: str) -> Iterator[Any]:
    """Writes the words of all columns to one file; yields its path and the places of the words."""
    files = sorted(written)
    _write(path, (prefix(place).encode() + line for place, file, _ in files for line in _lines(file)))
    yield np.array(path)
    sizes = np.array([size for *_, size in files], np.int64)
    yield beam.pvalue.TaggedOutput(PLACES, np.stack([np.cumsum(sizes) - sizes, sizes]))


def _lines(path: str) -> Iterator[bytes]:
    with tf.io.gfile.GFile(path, "rb") as file:
        while line := file.readline():
            yield line.rstrip(b"\n")


def _write(path: str, lines: Iterable[bytes]) -> None:
    """Writes a file in one step, since Beam may run this twice at the same time."""
    partial = f"{path}.{uuid.uuid4().hex}"
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.gfile.GFile(partial, "wb") as file:
        rest = iter(lines)
        while several := list(itertools.islice(rest, WRITE_WORDS)):
            file.write(b"".join(line + b"\n" for line in several))
    tf.io.gfile.rename(partial, path, overwrite=True)
