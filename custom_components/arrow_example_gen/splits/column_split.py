"""Splits a table by a column whose values name the splits."""

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from artifacts.nodes.left_out import NO_SPLIT
from custom_components.arrow_example_gen.formats.csv_errors import MISSING_HINT
from custom_components.arrow_example_gen.formats.files import TableError, shown
from custom_components.arrow_example_gen.splits.cells import cells_of, read_column, texts_of
from custom_components.arrow_example_gen.splits.hash_split import HashSplit
from custom_components.arrow_example_gen.splits.strategy import NumberedFile, Rows, missing_value
from custom_components.arrow_example_gen.table import Table
from custom_components.shared.label_rows import LabelRows
from custom_components.shared.split_hash import Split

SETTING = "data.split_column"
# Other words for a split, in any case.
SYNONYMS = {
    "train": ("training",),
    "validation": ("valid", "val", "dev"),
    "eval": ("test", "testing", "evaluation", "holdout"),
}


class Named(NamedTuple):
    """A split that rows name.

    Attributes:
        rows: Number of rows.
        word: The first word for it.
        row: First row with this word, from 1.
        number: Number of its file.
        path: Its file.
    """

    rows: int
    word: str
    row: int
    number: int
    path: str


@dataclasses.dataclass(frozen=True)
class ColumnSplit:
    """A split by a column.

    Attributes:
        column: The column.
        split: Names of the splits, and the hash that takes validation rows from the training rows if there are none.
        required: Whether each row must have a value.
        labels: What a row must have to be counted, or ``None`` for all rows.
    """

    column: str
    split: Split
    required: bool
    labels: LabelRows | None = None

    def survey(self, file: NumberedFile, table: Table) -> Iterator[Mapping[str, Named]]:
        """Yields the words of a file, as they are written.

        Raises:
            TableError: A row names no split.
        """
        for read in read_column(table, file.path, self.column, self.labels):
            found: dict[str, Named] = {}
            texts = texts_of(cells_of(table, read.batch, self.column, file.path, read.before))
            labeled = collections.Counter(texts.filter(pa.array(read.labeled)).to_pylist())
            for word in texts.unique().to_pylist():
                row = read.before + _index(texts, word) + 1
                if word is None:
                    if self.required:
                        raise missing_value(table, file.path, row, self.column, SETTING)
                elif split_named(word, self.split.names) is None:
                    raise self._unknown(table, file.path, row, word)
                else:
                    found[word] = Named(labeled[word], word, row, file.number, file.path)
            yield found

    def decide(self, parts: Iterable[Mapping[str, Named]], table: Table) -> "NamedSplits":
        """Decides whether validation rows are taken from the training rows.

        Raises:
            TableError: No row names a split that must have rows, or two words for the last split differ.
        """
        words: dict[str, Named] = {}
        for part in parts:
            for word, each in part.items():
                known = words.get(word.lower(), each)
                first = min(known, each, key=lambda named: (named.number, named.row))
                words[word.lower()] = first._replace(rows=each.rows + (known.rows if known is not each else 0))
        by_split: dict[int, list[Named]] = collections.defaultdict(list)
        for word, each in words.items():
            index = split_named(word, self.split.names)
            assert index is not None
            if each.rows:
                by_split[index].append(each)
        names, where = self.split.names, f"{table.first}: column {shown(self.column)}"
        last = sorted(by_split[len(names) - 1], key=lambda named: (named.number, named.row))
        plain = {names[-1], "test"}
        if plain <= {each.word.lower() for each in last}:
            one, other = (each for each in last if each.word.lower() in plain)
            raise TableError(
                f"{table.location(other.path, other.row)}: column {shown(self.column)}: found {shown(other.word)}, and "
                f"{shown(one.word)} in {table.location(one.path, one.row)}; expected one word for the {names[-1]} "
                "split: if one of them means validation, call it that"
            )
        for index in (0, len(names) - 1):
            if not by_split[index]:
                found = ", ".join(sorted(shown(each.word) for each in words.values())) or "no values"
                raise TableError(
                    f"{where}: found {found}; expected rows of the {names[index]} split, too, since {SETTING} names "
                    "this column"
                )
        taken = None if by_split[1] else HashSplit(self.split.first(2))
        return NamedSplits(self.column, names, taken)

    def _unknown(self, table: Table, path: str, row: int, word: str) -> TableError:
        hint = f", or {MISSING_HINT}" if table.is_text else ""
        others = [other for name in self.split.names for other in SYNONYMS.get(name, ())]
        return TableError(
            f"{table.location(path, row)}: column {shown(self.column)}: found {shown(word)}; expected "
            f"{', '.join(self.split.names)}, or one of {', '.join(others)}, since {SETTING} names this column{hint}"
        )


@dataclasses.dataclass(frozen=True)
class NamedSplits:
    """The splits that a column names.

    Attributes:
        column: The column.
        names: Names of the splits.
        taken: Divides the rows of the first split, if no row names the second one.
    """

    column: str
    names: tuple[str, ...]
    taken: HashSplit | None

    def choose(self, table: Table, rows: Rows) -> Sequence[int | str]:
        """Returns the index of each row's split, or why it is left out."""
        cells = cells_of(table, rows.batch, self.column, rows.file.path, rows.before)
        texts = texts_of(cells).dictionary_encode()
        named = [split_named(word, self.names) for word in texts.dictionary.to_pylist()]
        chosen = [NO_SPLIT if at is None else named[at] for at in texts.indices.to_pylist()]
        taken = self.taken.choose(table, rows) if self.taken else None
        return [taken[row] if taken and index == 0 else index for row, index in enumerate(chosen)]


def split_named(word: str, names: Sequence[str]) -> int | None:
    """Index of the split that a word names, or ``None``.

    >>> [split_named(word, ["train", "validation", "eval"]) for word in ("Train", "dev", "test", "other")]
    [0, 1, 2, None]
    """
    lower = word.lower()
    return next(
        (index for index, name in enumerate(names) if lower == name or lower in SYNONYMS.get(name, ())),
        None,
    )


def _index(texts: pa.Array, word: str | None) -> int:
    """Index of the first cell with a word, or of the first null."""
    found: int = pc.index(texts.is_null(), value=True).as_py() if word is None else pc.index(texts, word).as_py()
    return found
