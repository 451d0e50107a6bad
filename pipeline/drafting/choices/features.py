"""Chooses how each column of a table is used, and says why."""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal

from models.problem.kinds import FEATURE_KINDS, Kind
from pipeline.drafting.choices.dates import choose_date
from pipeline.drafting.choices.several import several, text
from pipeline.drafting.choices.skewness import is_skewed
from pipeline.drafting.table.columns import Column
from pipeline.drafting.table.forms import Form, names_rows

Use = Literal["label", "feature", "split", "weight", "left out"]

LEFT_OUT: Mapping[Form, str] = {
    "identifier": "a different value in every row",
    "constant": "the same value in every row",
    "empty": "no value in any row",
    "date": "dates in different forms: write them all as YYYY-MM-DD",
    "decimal_comma": "numbers with decimal commas, which are read as text: write them with decimal points",
    "written_number": "numbers with symbols such as $ and %, or thousands separators, read as text: write only digits",
    "too_large": "numbers beyond 3.4e38, the largest that a feature can have: rescale them",
    "infinite": "no finite number in any row",
}
BUCKET_ROWS = 1_000  # rows from which on numbers are also bucketed
BUCKETS = 10
FEW_INTEGERS = 50  # distinct integers that are also used as categories
INTEGER_ROWS = 500  # rows from which on they are
INTEGER_RANGE = 200
VOCABULARY = 200  # distinct texts of a vocabulary, at most
MAX_HASH_BUCKETS = 1_000
HASHED_BYTES = 64  # of a text that a device can hash
MISSING_FRACTION = 0.05  # of the rows, from which on a feature tells where a number is missing
MISSING_ROWS = 10  # rows with and without a value that this takes


@dataclasses.dataclass(frozen=True)
class Choice:
    """How a column is used.

    Attributes:
        column: The column.
        use: What it is used as.
        kinds: Options by kind of feature.
        reason: Why, in a few words.
        warning: What is not certain, in one line, or empty.
    """

    column: Column
    use: Use
    kinds: Mapping[Kind, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    reason: str = ""
    warning: str = ""


def choose(
    columns: Iterable[Column],
    label: str,
    uses: Mapping[str, Use],
    left_out: Mapping[str, str],
    by_time: bool = False,
) -> list[Choice]:
    """Chooses the use of each column.

    Args:
        columns: All columns of the table.
        label: Name of the label's column.
        uses: Columns with a use that the command line names.
        left_out: Reasons by column that is left out in any case.
        by_time: Whether the table is split by time.
    """
    columns = list(columns)
    choices = []
    for column in columns:
        if column.name == label:
            choices.append(Choice(column, "label"))
        elif column.name in uses:
            choices.append(Choice(column, uses[column.name], reason="given"))
        elif column.name in left_out:
            choices.append(Choice(column, "left out", reason=left_out[column.name]))
        elif column.form == "date" and (found := choose_date(column, by_time)):
            choices.append(Choice(column, "feature", {"date": found.options}, found.reason, found.warning))
        elif reason := LEFT_OUT.get(column.form):
            choices.append(Choice(column, "left out", reason=_left_out(column, reason)))
        else:
            kinds, reason = _CHOICES.get(column.form, _category)(column)
            choices.append(Choice(column, "feature", {**kinds, **_indicator(column, kinds)}, reason))
    return choices


def _indicator(column: Column, kinds: Mapping[Kind, Mapping[str, Any]]) -> Mapping[Kind, Mapping[str, Any]]:
    """A feature that tells where a value is missing, if many are and no other feature tells it, as categories do."""
    enough = column.missing >= MISSING_FRACTION * column.rows and min(column.missing, column.present) >= MISSING_ROWS
    told = column.lists or any(FEATURE_KINDS[kind].is_categorical for kind in kinds)
    return {"missing": {}} if enough and not told else {}


def _left_out(column: Column, reason: str) -> str:
    if column.form == "constant" and column.missing:
        return f"{reason}, or none"
    if column.form == "identifier" and column.distinct < len(column.sample) - column.sample.null_count:
        return "values that hardly repeat"
    return f"{reason} of the sample" if column.form == "identifier" and not column.is_exact else reason


def _number(column: Column) -> tuple[Mapping[Kind, Mapping[str, Any]], str]:
    if column.type == "INT" and names_rows(column.name) and column.distinct > 2:
        buckets = min(max(4 * column.distinct, 8), MAX_HASH_BUCKETS)
        return {"hashed": {"buckets": buckets}}, "numbers that identify something, judging by the name"
    log = is_skewed(column.numbers)
    kinds: dict[Kind, Mapping[str, Any]] = {"dense": {"log": True} if log else {}}
    reason = f"{shown_number(column.min)} to {shown_number(column.max)}" + (", skewed" if log else "")
    width = column.max - column.min + 1
    if column.type == "INT" and width <= INTEGER_RANGE and 2 < column.distinct <= FEW_INTEGERS:
        if column.rows >= INTEGER_ROWS:
            kinds["integer"] = {"min": int(column.min), "max": int(column.max)}
            reason += f", {column.distinct} different"
    elif column.rows >= BUCKET_ROWS and column.distinct > 2 * BUCKETS:
        kinds["bucketed"] = {"buckets": BUCKETS}
    return kinds, reason


def _category(column: Column) -> tuple[Mapping[Kind, Mapping[str, Any]], str]:
    at_least = "" if column.is_exact else "at least "
    reason = f"{at_least}{column.distinct:,} different values"
    if column.distinct <= VOCABULARY and column.is_exact:
        return {"vocabulary": {}}, reason
    buckets = min(max(4 * column.distinct, 8), MAX_HASH_BUCKETS)
    if column.max_bytes > HASHED_BYTES and column.distinct <= MAX_HASH_BUCKETS and column.is_exact:
        return {"vocabulary": {}}, f"{reason}, too long for a hash on a device"
    return {"hashed": {"buckets": buckets}}, reason


_CHOICES: Mapping[Form, Callable[[Column], tuple[Mapping[Kind, Mapping[str, Any]], str]]] = {
    "number": _number,
    "text": text,
    "list": several,
}


def shown_number(number: float) -> str:
    """A number in a comment, with up to five digits.

    >>> shown_number(1234567.0), shown_number(2024.0), shown_number(0.123456)
    ('1,234,567', '2024', '0.12346')
    """
    if not float(number).is_integer() or abs(number) >= 1e15:
        return f"{number:.5g}"
    return f"{number:,.0f}" if abs(number) >= 10_000 else f"{number:.0f}"


def names(choices: Iterable[Choice], uses: Collection[Use]) -> list[str]:
    """Names of the columns with one of these uses."""
    return [choice.column.name for choice in choices if choice.use in uses]
