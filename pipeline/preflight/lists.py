"""Checks the columns of texts and of several values per row."""

from collections import Counter
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from common.dotted_keys import join_key
from custom_components.arrow_example_gen.formats.files import TableError, shown
from custom_components.arrow_example_gen.table import Table
from custom_components.shared.label_rows import first_values
from pipeline.config.settings import Config

# A number in a list, with the spaces around it. As models.transforms.lists.NUMBER, which needs TensorFlow.
NUMBER = r"^[ \t]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t]*$"
EMPTY = r"^[ \t]*$"


class _Feature(NamedTuple):
    key: str  # in the settings
    kind: str
    column: str
    spec: Any


class ListCheck:
    """Checks texts and lists of all rows."""

    def __init__(self, config: Config, table: Table) -> None:
        """Starts with no rows."""
        self._table = table
        self._features = [
            _Feature(join_key(["features", kind, name]), kind, column, config.features.spec(kind, name))
            for kind, name in config.features
            if kind in ("text", "tags", "numbers")
            for column in config.features.raw_columns(kind, name)
        ]
        self._too_long = Counter[str]()  # rows by key
        self._longest: dict[str, int] = {}

    def add(self, batch: pa.RecordBatch, path: str, before: int) -> None:
        """Checks a batch.

        Args:
            batch: Rows of a file, as :meth:`custom_components.arrow_example_gen.table.RowChecks.check` returns them.
            path: The file, for errors.
            before: Number of rows before these in the file.

        Raises:
            TableError: A text is not UTF-8, or a part of a text is not a number. The message has its line.
        """
        names = [name for name in dict.fromkeys(each.column for each in self._features) if name in batch.schema.names]
        columns = self._table.to_columns(batch.select(names), {}, path, before)
        for feature in self._features:
            if feature.column not in columns:
                continue
            values = columns[feature.column]
            if feature.kind == "text":
                self._check_encoding(feature, first_values(values), path, before)
                continue
            if feature.spec.separator:
                values = _decoded(first_values(values))
                if feature.kind == "numbers":
                    self._check_encoding(feature, values, path, before)
                    self._check_numbers(feature, values, path, before)
            if not feature.spec.cut:
                self._add_lengths(feature, _lengths(values, feature.spec.separator))

    def finish(self) -> None:
        """Checks the lengths.

        Raises:
            TableError: Rows have more values than the settings allow.
        """
        for feature in self._features:
            rows = self._too_long[feature.key]
            if rows:
                longest = self._longest[feature.key]
                found = f"{rows:,} {'row' if rows == 1 else 'rows'} with more values, at most {longest:,}"
                raise TableError(
                    f"{self._table.first}: column {shown(feature.column)}: expected at most {feature.spec.max_length} "
                    f"values per row ({feature.key}.max_length); found {found}: raise it, or set {feature.key}.cut to "
                    "true to read only the first ones"
                )

    def _add_lengths(self, feature: _Feature, lengths: pa.Array) -> None:
        longer = lengths.filter(pc.greater(lengths, feature.spec.max_length))
        if len(longer):
            self._too_long[feature.key] += len(longer)
            self._longest[feature.key] = max(self._longest.get(feature.key, 0), pc.max(longer).as_py())

    def _check_encoding(self, feature: _Feature, texts: pa.Array, path: str, before: int) -> None:
        texts = _decoded(texts)
        try:
            texts.cast(pa.large_string())
        except pa.ArrowInvalid as error:
            row = next(index for index, text in enumerate(texts.to_pylist()) if text is not None and not _is_utf8(text))
            raise TableError(
                f"{self._table.location(path, before + row + 1)}: column {shown(feature.column)}: found bytes that are "
                f"not UTF-8 ({shown(texts[row].as_py())}); expected text in UTF-8 ({feature.key})"
            ) from error

    def _check_numbers(self, feature: _Feature, texts: pa.Array, path: str, before: int) -> None:
        distinct = texts.drop_null().unique().cast(pa.large_string())
        for cell in distinct.to_pylist():
            parts = pa.array(cell.split(feature.spec.separator))
            is_number = pc.or_(pc.match_substring_regex(parts, NUMBER), pc.match_substring_regex(parts, EMPTY))
            if not pc.all(is_number).as_py():
                row = before + pc.index(texts, pa.scalar(cell.encode(), texts.type)).as_py() + 1
                part = parts.filter(pc.invert(is_number))[0].as_py()
                raise TableError(
                    f"{self._table.location(path, row)}: column {shown(feature.column)}: found {shown(part)} in a "
                    f"list; expected numbers with {shown(feature.spec.separator)} between them ({feature.key})"
                )


def _decoded(values: pa.Array) -> pa.Array:
    """Texts as large_binary, without a dictionary."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return values.cast(pa.large_binary())


def _lengths(values: pa.Array, separator: str | None) -> pa.Array:
    """The number of values in each row."""
    if separator:
        return pc.add(pc.count_substring(values, separator.encode()), 1).fill_null(0)
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        return pc.list_value_length(values).fill_null(0)
    return pa.array([0] * len(values))


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
