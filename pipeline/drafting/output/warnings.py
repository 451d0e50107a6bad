"""What a user should know about a table before trusting a model trained on it."""

import collections
from collections.abc import Iterable, Iterator

from custom_components.arrow_example_gen.formats.file_format import FORMATS
from pipeline.drafting.choices.device import why_no_device
from pipeline.drafting.choices.features import shown_number
from pipeline.drafting.choices.groups import find_groups
from pipeline.drafting.choices.sentinels import find_sentinel
from pipeline.drafting.choices.suspects import SHOWN
from pipeline.drafting.choices.target import RARE_ROWS
from pipeline.drafting.draft import Draft
from pipeline.drafting.table.missing import shown_cells

FEW_EVAL_ROWS = 100
FEW_GROUPS = 10  # in the eval split


def warnings(draft: Draft) -> list[str]:
    """Returns one line for each warning."""
    return [*_rows(draft), *_label(draft), *_columns(draft), *_groups(draft), *_device(draft)]


def _rows(draft: Draft) -> Iterator[str]:
    if draft.files.origin:
        yield f"runs read {draft.files.path}, a copy of {draft.files.origin}, which does not change with it"
    if draft.read.is_sampled:
        yield (
            f"types, ranges, counts and missing values come from all {draft.read.rows:,} rows, and everything else "
            f"from a seeded sample of {draft.read.sample.num_rows:,} rows"
        )
    if draft.eval_rows < FEW_EVAL_ROWS:
        yield (
            f"too few rows: the eval split will have about {draft.eval_rows}, so metrics vary by several percent by "
            "chance"
        )

    if key := draft.split.get("split_key"):
        [group] = [each for each in draft.columns if each.name == key]
        groups = round(group.distinct * draft.plan.splits["eval"] / sum(draft.plan.splits.values()))
        if group.is_exact and groups < FEW_GROUPS:
            yield (
                f"few groups: '{key}' has {group.distinct} values, of which about {groups} are in the eval split, so "
                "metrics depend on which ones"
            )


def _label(draft: Draft) -> Iterator[str]:
    target = draft.target
    if target.unlabeled:
        yield f"{target.unlabeled:,} of {draft.read.rows:,} rows have no label and are left out of all splits"
    if target.task == "binary" and target.rare:
        [name] = target.rare
        total = sum(target.classes.values())
        yield f"imbalance: only {target.classes[name]:,} of {total:,} rows are '{name}', so accuracy says little"
    if alike := _alike(target.classes):
        yield f"classes {_shown(alike)} differ only in case or blanks; if they mean the same, write them alike"
    few = [name for name, count in target.classes.items() if count < RARE_ROWS]
    if target.task == "multiclass" and few:
        yield f"imbalance: fewer than {RARE_ROWS} rows are {_shown(few)}; a split may lack them"


def _alike(names: Iterable[str]) -> list[str]:
    """Names of which another one has the same letters."""
    groups = collections.defaultdict(list)
    for name in names:
        groups[" ".join(name.casefold().split())].append(name)
    return [name for group in groups.values() if len(group) > 1 for name in group]


def _columns(draft: Draft) -> Iterator[str]:
    yield from draft.read.notes
    yield from draft.mixed
    yield from (choice.warning for choice in draft.choices if choice.warning)
    for name, found in draft.suspects.leaks.items():
        yield f"'{name}' may leak the label: {found}; if it is not known when you predict, give --leave-out '{name}'"
    pairs = draft.suspects.correlated
    if pairs:
        shown = ", ".join(f"'{first}' and '{second}'" for first, second in pairs[:SHOWN])
        more = f" and {len(pairs) - SHOWN:,} more pairs" if len(pairs) > SHOWN else ""
        yield f"near-duplicates: {shown}{more} are almost the same numbers"
    yield from _sentinels(draft)
    if draft.missing_values:
        mixed = [
            f"'{counts.name}': {counts.numbers:,} of {counts.cells:,} are numbers"
            for counts in draft.read.counts.values()
            if counts.numbers and not counts.stored_type and counts.numbers < counts.cells
        ]
        where = f" ({'; '.join(mixed[:SHOWN])})" if mixed else ""
        yield f"read as missing values: {shown_cells(draft.missing_values)}{where}"


def _sentinels(draft: Draft) -> Iterator[str]:
    used = [each.column for each in draft.choices if each.use in ("feature", "label")]
    rows = "rows of the sample" if draft.read.is_sampled else "rows"
    for column in used if FORMATS[draft.files.source.format].is_text else ():
        if found := find_sentinel(column, draft.read.sample_of(column.name)):
            rest = f"{shown_number(found.low)} to {shown_number(found.high)}"
            yield (
                f"'{column.name}' is {found.cell} in {found.rows:,} {rows} and {rest} in all others; if {found.cell} "
                f"means a missing value, give --missing-value={found.cell}"
            )


def _groups(draft: Draft) -> Iterator[str]:
    found = [] if draft.split else find_groups(draft.columns, draft.target.column.name)
    if found:
        each = (
            "has the same value in several rows, which a"
            if len(found) == 1
            else "have the same values in several rows, which a"
        )
        yield (
            f"{_shown(found)} {each} random split spreads over the splits; if you predict for new values, give "
            f"--group '{found[0]}'"
        )


def _device(draft: Draft) -> Iterator[str]:
    if why := why_no_device(draft.choices):
        yield f"no model for devices (tflite.enabled: false): {why}"


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:SHOWN]) + more
