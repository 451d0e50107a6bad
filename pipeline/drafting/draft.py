"""Drafts the settings and the schema of a table from its files."""

import dataclasses
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from custom_components.arrow_example_gen.formats.file_format import FORMATS
from models.problem.types import MAX_NAME
from pipeline.drafting.choices.features import Choice, Use, choose, names
from pipeline.drafting.choices.plan import Plan, make_plan
from pipeline.drafting.choices.seeds import choose_seed
from pipeline.drafting.choices.suspects import SHOWN, Suspects, find_suspects
from pipeline.drafting.choices.target import Target, find_target
from pipeline.drafting.errors import DraftError
from pipeline.drafting.given_columns import check_categories, check_names, check_weight
from pipeline.drafting.options import Options
from pipeline.drafting.table.columns import Column, describe, missing_cells
from pipeline.drafting.table.location import Files, find_files
from pipeline.drafting.table.mixed import check_cells
from pipeline.drafting.table.reading import Read, read_table


@dataclasses.dataclass(frozen=True)
class Draft:
    """Everything that was chosen for a table.

    Attributes:
        name: Name of the problem.
        files: The files.
        read: The content of the files.
        missing_values: Cells that mean a missing value.
        target: The label.
        choices: The use of each column.
        split: What decides the split besides sizes, as keys of ``data``. Empty for a random split.
        seed: Seed of a random split.
        plan: Sizes that depend on the number of rows.
        suspects: Columns that deserve a second look.
        mixed: One line for each column that mixes numbers and text.
    """

    name: str
    files: Files
    read: Read
    missing_values: tuple[str, ...]
    target: Target
    choices: list[Choice]
    split: dict[str, str]
    seed: int
    plan: Plan
    suspects: Suspects
    mixed: tuple[str, ...] = ()

    @property
    def columns(self) -> list[Column]:
        """The columns, with the label as the schema has it."""
        label = self.target.column
        return [label if choice.column.name == label.name else choice.column for choice in self.choices]

    @property
    def features(self) -> dict[str, dict[str, Mapping[str, Any]]]:
        """Options of the features, by kind and column."""
        found: dict[str, dict[str, Mapping[str, Any]]] = {}
        for choice in self.choices:
            for kind, options in choice.kinds.items():
                found.setdefault(kind, {})[choice.column.name] = options
        return found

    @property
    def eval_rows(self) -> int:
        """Expected rows in the eval split."""
        return self.read.test_rows or self.split_rows["eval"]

    @property
    def split_rows(self) -> dict[str, int]:
        """Expected rows of each split."""
        sizes, rows = self.plan.splits, self.target.column.present - self.read.test_rows
        return {name: max(rows, 0) * size // sum(sizes.values()) for name, size in sizes.items()}


def draft(options: Options) -> Draft:
    """Reads a table and chooses settings for it.

    Raises:
        DraftError: The table or an option cannot be used. One line that says what to do.
        TableError: A file cannot be read.
    """
    files = find_files(options.given)
    name, split = options.name or name_of_problem(files), _split(options, files)
    read = read_table(files, options.max_rows)
    check_names(options, read, files)
    missing_values = find_missing_values(read, options.missing_values, options.categories)
    columns = {
        each: describe(read, counts, missing_values, each in options.categories) for each, counts in read.counts.items()
    }
    check_categories(options.categories, columns)
    if options.weight is not None:
        check_weight(columns[options.weight])
    unchecked = {*options.leave_out, *options.categories}
    mixed = check_cells(files, read, columns, unchecked, missing_values, options.label)
    target = find_target(columns[options.label], options.task, FORMATS[files.source.format].is_text)
    suspects = find_suspects(columns.values(), target)
    choices = choose(
        columns.values(), options.label, _uses(options), _left_out(options, suspects), by_time="split_time" in split
    )
    features = names(choices, {"feature"})
    if not features:
        raise DraftError(
            f"--data: found no column to predict '{options.label}' from; expected one ({_reasons(choices)})"
        )
    plan = make_plan(target.column.present - read.test_rows, len(features), target.task, bool(read.test_rows))
    made = Draft(name, files, read, missing_values, target, choices, split, 0, plan, suspects, tuple(mixed))
    if split.keys() & {"split_time", "test_path"}:
        return made
    seed = choose_seed(files, made.columns, target, plan.splits, options.group, missing_values)
    return dataclasses.replace(made, seed=seed)


def _reasons(choices: list[Choice]) -> str:
    """Why the first columns are left out, for an error."""
    reasons = [f"'{each.column.name}': {each.reason}" for each in choices if each.use == "left out"]
    more = [f"and {len(reasons) - SHOWN:,} more"] if len(reasons) > SHOWN else []
    return ", ".join(reasons[:SHOWN] + more) or "none"


def find_missing_values(read: Read, given: Collection[str] = (), categories: Collection[str] = ()) -> tuple[str, ...]:
    """The cells that mean a missing value in any column, without the empty one.

    Args:
        read: The content of the files.
        given: Cells that mean a missing value, in addition to those that are found.
        categories: Columns in which only cells that certainly mean a missing value do.
    """
    found = (missing_cells(counts, name in categories) for name, counts in read.counts.items())
    return tuple(sorted({*given}.union(*found)))


def name_of_problem(files: Files) -> str:
    """A name for the problem, from the file or the folder."""
    path = Path(files.paths[0]) if len(files.paths) == 1 else Path(files.source.folder)
    return problem_name(path.name.removesuffix(".gz").rsplit(".", 1)[0] if path.is_file() else path.name)


def problem_name(stem: str) -> str:
    """A name for a problem, from that of its table.

    >>> problem_name("2024 Houses")
    'table_2024_houses'
    """
    name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")[:MAX_NAME]
    if not re.match(r"[a-z]", name):
        name = f"table_{name}".strip("_")[:MAX_NAME]
    return name


def _uses(options: Options) -> dict[str, Use]:
    uses: dict[str | None, Use] = {options.weight: "weight", options.group: "split", options.time: "split"}
    return {column: use for column, use in uses.items() if column is not None}


def _split(options: Options, files: Files) -> dict[str, str]:
    """The keys of ``data`` that decide the split of a row.

    Raises:
        DraftError: Several options do.
    """
    named = {"group": options.group, "time": options.time, "test": files.test}
    given = [f"--{name}" for name, value in named.items() if value]
    if len(given) > 1:
        raise DraftError(f"{given[0]}: found {given[1]}, too; expected one option that decides the split")
    keys = {"split_key": options.group, "split_time": options.time, "test_path": files.test}
    return {key: value for key, value in keys.items() if value}


def _left_out(options: Options, suspects: Suspects) -> dict[str, str]:
    found = {name: f"the same as '{other}' in every row" for name, other in suspects.copies.items()}
    found |= dict.fromkeys(suspects.labels, "the label under other names")
    return found | dict.fromkeys(options.leave_out, "given")
