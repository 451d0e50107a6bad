"""Prints tables to a terminal, tab-separated lines to a pipe, or JSON."""

import dataclasses
import datetime
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from common.console import DataConsole
from common.terminal import printable, printable_json

STYLES = {"pushed": "green", "failed": "red", "interrupted": "red", "anomalies": "red", "not_blessed": "yellow"}


class Printer:
    """Prints to standard output."""

    def __init__(self) -> None:
        self._console = DataConsole()

    def line(self, text: str) -> None:
        """Prints one line."""
        self._console.print(escape(text))

    def pairs(self, title: str, rows: Mapping[str, Any]) -> None:
        """Prints a title, then one line per name with its value. Names without a value are left out."""
        shown = {name: value for name, value in rows.items() if value not in (None, "", [], {})}
        if not shown:
            return
        self._console.print(f"[bold]{escape(title)}[/]")
        width = max(map(len, shown))
        for name, value in shown.items():
            self._console.print(f"  [dim]{escape(name):<{width}}[/]  {escape(as_text(value))}")

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Prints a table. A pipe gets one tab-separated line per row, for other programs to parse."""
        if not rows:
            return
        cells = [[as_text(cell) for cell in row] for row in rows]
        if not self._console.is_terminal:
            for line in (*([title] if title else []), *("\t".join(row) for row in (header, *cells))):
                click.echo(printable(line))  # rich would replace tabs with spaces
            return
        table = Table(title=title or None, title_justify="left", title_style="bold")
        for name in header:
            table.add_column(name, overflow="fold")
        for row in cells:
            table.add_row(*(f"[{STYLES[cell]}]{cell}[/]" if cell in STYLES else escape(cell) for cell in row))
        self._console.print(table, soft_wrap=False)


def print_json(value: Any) -> None:
    """Prints records as JSON."""
    click.echo(printable_json(json.dumps(to_plain(value), indent=2, ensure_ascii=False, allow_nan=False)))


def as_text(value: Any) -> str:
    r"""Formats a value for a terminal.

    >>> as_text({"auc": 0.123456789, "ready": True})
    'auc 0.123457, ready yes'
    >>> as_text(("a", None, "b\n c"))
    'a, , b c'
    """
    match value:
        case None | bool():
            return {None: "", True: "yes", False: "no"}[value]
        case float():
            return f"{value:.6g}"
        case datetime.datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case Mapping():
            return ", ".join(f"{name} {as_text(inner)}" for name, inner in value.items())
        case list() | tuple():
            return ", ".join(map(as_text, value))
        case _:
            return printable(" ".join(str(value).split()))  # a command line may have line breaks


def to_plain(value: Any) -> Any:
    """Converts records to JSON's types: times to ISO format, NaN and infinity to null.

    >>> to_plain({"auc": float("nan"), "steps": (1, 2)})
    {'auc': None, 'steps': [1, 2]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(inner) for inner in value]
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="milliseconds")
    return None if isinstance(value, float) and not math.isfinite(value) else value
