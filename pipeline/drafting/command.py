"""``python local_runner.py init``: drafts the settings and the schema of a table."""

import sys
from pathlib import Path
from typing import Any

import click

from common.project import ROOT
from common.remote_paths import is_remote
from pipeline import cli, exit_codes

TASKS = ("binary", "multiclass", "regression")
EPILOG = "Exit codes: 0 both files were written; 2 invalid usage or data, and nothing was written."


@click.command("init", epilog=EPILOG, context_settings=cli.CONTEXT)
@click.option(
    "--data",
    required=True,
    metavar="PATH",
    help="A file, or a folder of files that have the same columns. gs://BUCKET/PATH and bq://PROJECT.DATASET.TABLE are "
    "copied to data/<name>.",
)
@click.option("--label", required=True, metavar="COLUMN", help="Column to predict.")
@click.option("--name", metavar="NAME", help="Name of the problem.  [default: name of the file]")
@click.option("--task", type=click.Choice(TASKS), help="Task.  [default: from the label's values]")
@click.option("--group", metavar="COLUMN", help="Keep rows with the same value in one split.")
@click.option("--time", metavar="COLUMN", help="Split by time: train before validation before eval.")
@click.option("--weight", metavar="COLUMN", help="Column with the weight of each row in training.")
@click.option("--test", metavar="PATH", help="A file or a folder with the rows of the eval split.")
@click.option("--leave-out", multiple=True, metavar="COLUMN", help="Do not use a column. Can be repeated.")
@click.option(
    "--category", multiple=True, metavar="COLUMN", help="Read a column as categories, such as codes. Can be repeated."
)
@click.option(
    "--missing-value", multiple=True, metavar="TEXT", help="A cell that means a missing value. Can be repeated."
)
@click.option("--pattern", metavar="GLOB", help="Files of the folder.  [default: all of one format]")
@click.option("--delimiter", metavar="CHAR", help=r"Delimiter of CSV files, such as ';' or '\t'.  [default: detected]")
@click.option("--encoding", metavar="NAME", help="Encoding of CSV files.  [default: UTF-8, or the byte-order mark's]")
@click.option(
    "--max-rows",
    type=click.IntRange(100),
    default=50_000,
    show_default=True,
    metavar="N",
    help="Maximum number of rows in the sample. All rows are counted.",
)
@click.option(
    "--into",
    default=str(ROOT),
    metavar="DIR",
    help="Folder to write configs/ and schema/ into.  [default: the project]",
)
@click.option("--force", is_flag=True, help="Replace the settings and the schema if they exist.")
@click.option("--json", "as_json", is_flag=True, help="Print the choices as JSON.")
def init(**options: Any) -> None:
    """Draft the settings and the schema of a table."""
    sys.exit(run(options))


def run(values: dict[str, Any]) -> int:
    """Writes a draft, and returns the exit code."""
    from custom_components.arrow_example_gen.formats.files import TableError
    from pipeline.config.errors import UserError
    from pipeline.drafting.draft import draft, problem_name
    from pipeline.drafting.options import Options
    from pipeline.drafting.output.report import json_of, print_draft
    from pipeline.drafting.output.saving import check_new, save
    from pipeline.drafting.table.copies import local_copies, name_of_url
    from pipeline.drafting.table.location import Given
    from pipeline.results.console import RunConsole

    into, force, as_json = Path(values.pop("into")).absolute(), values.pop("force"), values.pop("as_json")
    given = Given(*(values.pop(key) for key in ("data", "pattern", "delimiter", "encoding", "test")))
    repeated = {"missing_values": values.pop("missing_value"), "categories": values.pop("category")}
    copied = problem_name(values["name"] or name_of_url(given.data))
    values["name"] = values["name"] or (copied if is_remote(given.data) else None)
    try:
        if values["name"]:
            check_new(values["name"], into, force)
        with local_copies(given, into / "data" / copied, force) as local:
            made = draft(Options(local, **repeated, **values))
            check_new(made.name, into, force)
            saved = save(made, into, force)
    except (UserError, TableError, OSError) as error:
        RunConsole(sys.stderr).error(str(error))
        return exit_codes.REFUSED
    if as_json:
        print(json_of(made, saved))
    else:
        print_draft(made, saved)
    return 0
