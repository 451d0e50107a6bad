"""``make schema``: drafts only the schema of a table, for settings that a person writes."""

import os
import shlex
import sys
from pathlib import Path

import click

from common.terminal import printable, run_command
from custom_components.arrow_example_gen.source import check_pattern
from pipeline.config.errors import UserError
from pipeline.drafting.draft import find_missing_values
from pipeline.drafting.output.schema import draft_schema
from pipeline.drafting.table.columns import describe
from pipeline.drafting.table.location import Given, find_files
from pipeline.drafting.table.missing import shown_cells
from pipeline.drafting.table.reading import read_table


@click.command()
@click.option("--data", required=True, metavar="PATH", help="A file, or a folder of files that have the same columns.")
@click.option("--pattern", default="*.csv", show_default=True, help="Files to read, as in data.pattern.")
@click.option(
    "--missing-value",
    "missing",
    multiple=True,
    metavar="TEXT",
    help="A cell of CSV files that means a missing value, as in data.missing_values. Can be repeated.",
)
@click.option("--out", required=True, metavar="FILE", help="Where to write the schema. The file must not exist.")
def main(data: str, pattern: str, missing: tuple[str, ...], out: str) -> None:
    """Draft a schema from a table's files, for you to review and tighten."""
    if os.path.lexists(out):
        sys.exit(f"{out}: the file exists; expected a new one: give another name, or remove it first")
    try:
        check_pattern(pattern, None, None)
        print(write_draft(Given(data, pattern), missing, Path(out)))
    except (UserError, ValueError) as error:
        sys.exit(printable(str(error)))
    except OSError as error:
        sys.exit(printable(f"{error.filename or out}: {error.strerror}; expected a folder to write to"))


def write_draft(given: Given, missing: tuple[str, ...], out: Path) -> str:
    """Writes a schema to a new file, and returns a line about it."""
    files = find_files(given)
    read = read_table(files)
    found = find_missing_values(read, missing)
    columns = [describe(read, counts, found) for counts in read.counts.values()]
    text = draft_schema(columns, read.rows)
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("x", encoding="utf-8") as file:
        file.write(text)
    cells = f"; list the missing values in data.missing_values: {shown_cells(found)}" if found else ""
    count = f"{len(files.paths)} file{'' if len(files.paths) == 1 else 's'}"
    shown = f"{shlex.quote(str(out))}: {len(columns)} columns from {count}"
    return f"{shown}. Review it: tighten domains, ranges and presence{cells}"


if __name__ == "__main__":
    run_command(main)
