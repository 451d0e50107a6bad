"""Shows what was chosen for a table, in a terminal or as JSON."""

import json
import shlex
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from common.console import DataConsole
from common.terminal import printable, printable_json
from pipeline.drafting.choices.evaluation import choose_thresholds
from pipeline.drafting.choices.features import Choice, shown_number
from pipeline.drafting.draft import Draft
from pipeline.drafting.output.saving import Saved
from pipeline.drafting.output.warnings import warnings
from pipeline.drafting.table.location import project_path

MAX_ROWS = 60
STYLES = {"label": "bold green", "feature": "", "split": "cyan", "weight": "cyan", "left out": "dim"}


def print_draft(draft: Draft, saved: Saved) -> None:
    """Prints a table of the choices, the warnings and the next command."""
    console = DataConsole()
    target, plan, settings = draft.target, draft.plan, saved.settings
    console.print(
        f"[bold]{draft.name}[/]: {target.task} of {escape(printable(repr(target.column.name)))} from "
        f"{draft.read.rows:,} rows, {escape(target.reason)}"
    )
    _print_columns(console, draft, project_path(str(settings)))
    sizes = ", ".join(f"{name} {each}" for name, each in plan.splits.items())
    tuning = "with" if plan.tuned else "without"
    console.print(
        f"splits {sizes}; at most {plan.steps:,} steps of {plan.batch_size} rows; {tuning} tuning: {plan.tuning_reason}"
    )
    for line in (*warnings(draft), *saved.warnings):
        console.print(f"[yellow]warning[/] {escape(printable(line))}")
    console.print(f"wrote {escape(project_path(str(settings)))} and {escape(project_path(str(saved.schema)))}")
    console.print(f"Next: {escape(command(settings))}")


def command(settings: Path) -> str:
    """The command that runs the draft."""
    return f"python local_runner.py --config {shlex.quote(project_path(str(settings)))}"


def json_of(draft: Draft, saved: Saved) -> str:
    """What was chosen as a JSON document."""
    target = draft.target
    document: dict[str, Any] = {
        "name": draft.name,
        "task": target.task,
        "label": target.column.name,
        "classes": dict(target.classes),
        "rows": draft.read.rows,
        "sampled_rows": draft.read.sample.num_rows,
        "missing_values": list(draft.missing_values),
        "columns": [_column(choice) for choice in draft.choices],
        "thresholds": [
            {"metric": each.metric, **each.bounds}
            for each in choose_thresholds(target, draft.eval_rows, "split_time" in draft.split)
        ],
        "warnings": [*warnings(draft), *saved.warnings],
        "config": project_path(str(saved.settings)),
        "schema": project_path(str(saved.schema)),
        "command": command(saved.settings),
    }
    return printable_json(json.dumps(document, ensure_ascii=False, indent=2))


def _column(choice: Choice) -> dict[str, Any]:
    column = choice.column
    return {
        "name": column.name,
        "type": column.type,
        "missing": column.missing,
        "distinct": column.distinct,
        "use": choice.use,
        "kinds": {kind: dict(options) for kind, options in choice.kinds.items()},
        "reason": choice.reason,
    }


def _print_columns(console: DataConsole, draft: Draft, settings: str) -> None:
    """Prints how each column is used: a table in a terminal, and tab-separated lines to a pipe."""
    order = sorted(draft.choices, key=lambda choice: choice.use != "label")
    header = ("column", "type", "missing", "use", "why")
    if not console.is_terminal:
        for cells in (header, *(_cells(draft, choice) for choice in order)):
            click.echo("\t".join(map(printable, cells)))  # rich would replace tabs with spaces
        return
    table = Table(title="Columns", title_justify="left", title_style="bold")
    for name in header:
        table.add_column(name, overflow="fold")
    for choice in order[:MAX_ROWS]:
        table.add_row(*(escape(printable(cell)) for cell in _cells(draft, choice)), style=STYLES[choice.use])
    console.print(table)
    if len(order) > MAX_ROWS:
        console.print(f"and {len(order) - MAX_ROWS:,} more columns in {escape(settings)}")


def _cells(draft: Draft, choice: Choice) -> tuple[str, ...]:
    column = choice.column
    missing = f"{column.missing / column.rows:.1%}" if column.missing else ""
    use = ", ".join(choice.kinds) if choice.kinds else choice.use
    return column.name, column.type, missing, use, choice.reason or _reason(draft)


def _reason(draft: Draft) -> str:
    target = draft.target
    if not target.classes:
        return f"{shown_number(target.column.min)} to {shown_number(target.column.max)}"
    shown = [f"{name} {count:,}" for name, count in list(target.classes.items())[:6]]
    return ", ".join(shown) + (", …" if len(target.classes) > len(shown) else "")
