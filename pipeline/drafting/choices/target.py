"""Infers the task and the classes from the column of the label."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from custom_components.arrow_example_gen.formats.files import shown
from models.problem.problem import Task
from pipeline.drafting.choices.skewness import is_skewed
from pipeline.drafting.errors import DraftError
from pipeline.drafting.table.columns import Column, Type

MAX_CLASSES = 200
MAX_INTEGER_CLASSES = 12  # distinct integers of a label that are taken for classes rather than counts
CLASS_ROWS = 10  # mean number of rows per integer class, at least
MIN_ROWS = 50
MIN_CLASS_ROWS = 3  # mean number of rows per class of any kind, at least
RARE, RARE_SHARE = 0.05, 0.1
RARE_ROWS = 10
SPLITS = 3  # none of which can be judged without both of two classes
# A binary model predicts the probability of the second class. Classes with these names come second.
_POSITIVE = frozenset(
    ("yes", "y", "true", "t", "positive", "pos", "malignant", "bad", "dead", "died", "fraud", "spam", "default")
)
_NEGATIVE = frozenset(("no", "n", "false", "f", "negative", "neg", "benign", "good", "alive", "survived"))


@dataclasses.dataclass(frozen=True)
class Target:
    """The label of a table.

    Attributes:
        column: Its column, with the type that it has in the schema.
        task: ``binary``, ``multiclass`` or ``regression``.
        classes: Rows by class, in the order of their indices. Empty for a regression.
        reason: Why it is this task, in a few words.
        log: Whether the network learns the logarithm of the label.
    """

    column: Column
    task: Task
    classes: Mapping[str, int]
    reason: str
    log: bool = False

    @property
    def rare(self) -> list[str]:
        """Classes with few rows: below 5% of all for two classes, below a tenth of an equal share for more."""
        total = sum(self.classes.values())
        share = RARE if self.task == "binary" else RARE_SHARE / max(len(self.classes), 1)
        return [name for name, count in self.classes.items() if count < max(share * total, RARE_ROWS)]

    @property
    def unlabeled(self) -> int:
        """Rows without a label."""
        return self.column.missing


def find_target(column: Column, task: Task | None, rewritable: bool) -> Target:
    """Infers the task.

    Args:
        column: The column of the label.
        task: The task, if it is given.
        rewritable: Whether cells can be read as any type, as in a text file.

    Raises:
        DraftError: Nothing can be learned from the column, or the task does not fit it.
    """
    _check(column)
    if column.form == "too_large" and task in (None, "regression"):
        raise DraftError(
            f"--label: '{column.name}' has numbers beyond 3.4e38, the largest that a label can have; expected smaller "
            "ones: rescale the column"
        )
    if column.type == "BYTES":
        if task in (None, "regression") and column.form in ("decimal_comma", "written_number"):
            raise DraftError(
                f"--label: '{column.name}' has numbers that are read as text, such as {shown(_first_text(column))}; "
                "expected digits with a decimal point: rewrite the column, or give --task multiclass"
            )
        if task == "regression":
            raise DraftError(
                f"--task: found regression, and text in the label's column '{column.name}'; expected numbers"
            )
        return _classes(column, task, f"{column.distinct} different texts")
    if task != "regression" and (task or _are_classes(column)):
        classes = _as_numbers(column, rewritable)
        kind = "integers" if classes.type == "INT" else "numbers"
        return _classes(classes, task, f"{classes.distinct} different {kind}")
    reason = f"{column.distinct:,} different numbers" if column.is_exact else "numbers"
    if not column.is_finite:
        raise DraftError(f"--label: '{column.name}' has infinite numbers; expected finite ones: correct these rows")
    log = column.min >= 0 and is_skewed(column.numbers) and not _is_mostly_one(column)
    return Target(column, "regression", {}, reason + (", skewed" if log else ""), log)


def _first_text(column: Column) -> str:
    return str(column.sample.drop_null()[0].as_py())


def _check(column: Column) -> None:
    """Refuses a label from which nothing can be learned."""
    name = column.name
    if column.form == "list":
        raise DraftError(f"--label: '{name}' has several values per row; expected one label per row")
    if not column.present:
        raise DraftError(f"--label: '{name}' has no value in any of the {column.rows:,} rows; expected labels")
    if column.distinct == 1 and column.is_exact:
        [value] = column.values or column.sample.drop_null().unique().to_pylist()
        raise DraftError(
            f"--label: '{name}' is {shown(str(value))} in all {column.present:,} rows; expected at least two values"
        )
    if column.present < MIN_ROWS:
        raise DraftError(
            f"--data: found {column.present} rows with a label; expected at least {MIN_ROWS}, since metrics on fewer "
            "rows mean nothing: collect more rows"
        )


def _are_classes(column: Column) -> bool:
    """Whether numbers look like classes: two of them, or a few integers that repeat often."""
    if column.distinct == 2:
        return True
    whole = column.values is not None and all(float(each).is_integer() for each in column.values)
    return whole and column.distinct <= MAX_INTEGER_CLASSES and column.present >= CLASS_ROWS * column.distinct


def _is_mostly_one(column: Column) -> bool:
    """Whether most rows have the same number: their median. Hardly a model of a logarithm has a smaller mean error."""
    codes = column.codes[column.codes >= 0]
    return 2 * int(np.bincount(codes).max()) > len(codes)


def _as_numbers(column: Column, rewritable: bool) -> Column:
    """A column whose values are written in one way: ``1.0``, ``+1`` and ``1`` are the class ``1``."""
    values: dict[str, int] = {}
    for text, count in (column.values or {}).items():
        name = _number_name(text)
        values[name] = values.get(name, 0) + count
    whole = all(name.lstrip("-").isdigit() for name in values)
    kind: Type = "INT" if column.type == "INT" or (rewritable and whole) else "FLOAT"
    distinct = len(values) if column.values is not None else column.distinct
    return dataclasses.replace(column, type=kind, values=column.values and values, distinct=distinct)


def _number_name(text: str) -> str:
    try:
        return str(int(text))  # float64 would merge large ones
    except ValueError:
        number = float(text)
        return str(int(number)) if number.is_integer() else repr(number)


def _classes(column: Column, task: Task | None, reason: str) -> Target:
    if column.values is None or column.distinct > min(MAX_CLASSES, column.present / MIN_CLASS_ROWS):
        many = f"at least {column.distinct:,}" if column.values is None else f"{column.distinct:,}"
        kind = "texts" if column.type == "BYTES" else "numbers"
        raise DraftError(
            f"--label: '{column.name}' has {many} different {kind} in {column.present:,} rows; expected at most "
            f"{MAX_CLASSES} classes with {MIN_CLASS_ROWS} rows on average, or numbers to predict"
        )
    if task == "binary" and column.distinct != 2:
        raise DraftError(f"--task: found binary, and {column.distinct} classes in '{column.name}'; expected two")
    numbers = column.type != "BYTES"
    values = dict(sorted(column.values.items(), key=lambda each: float(each[0]) if numbers else each[0]))
    found: Task = task or ("binary" if len(values) == 2 else "multiclass")
    rare, count = min(values.items(), key=lambda each: each[1])
    if found == "binary" and count < SPLITS:
        raise DraftError(
            f"--label: '{column.name}' is {shown(rare)} in only {count} of {column.present:,} rows; expected at least "
            f"{SPLITS} rows of each class, one for each split: collect more rows, or name another column"
        )
    return Target(column, found, _ordered(values) if found == "binary" and not numbers else values, reason)


def _ordered(values: Mapping[str, int]) -> Mapping[str, int]:
    """Two texts, the one to predict last: the one whose name says so, else the higher number or the rarer one."""
    first, second = values
    swap = _known(first) in _POSITIVE or _known(second) in _NEGATIVE
    named = {_known(first), _known(second)} & (_POSITIVE | _NEGATIVE)
    if not named and not first.lstrip("-").replace(".", "").isdigit():
        swap = values[first] < values[second]
    return {second: values[second], first: values[first]} if swap else values


def _known(name: str) -> str:
    return name.strip().lower()
