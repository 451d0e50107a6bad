"""``python local_runner.py ablate``: the command line."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from pipeline import cli

if TYPE_CHECKING:
    from pipeline.ablation.request import AblationOptions

# Runs the pipeline with options of ``local_runner.py`` and those of this command, and returns the exit code.
Run: TypeAlias = "Callable[[dict[str, Any], AblationOptions], int]"
EPILOG = """\b
Exit codes: 0 done, also if a column is too good to be true; 1 a component failed;
2 invalid usage, settings or data; 3 the data does not match the schema."""


@click.command("ablate", epilog=EPILOG, context_settings=cli.CONTEXT)
@cli.config_option
@click.option("--data", metavar="DIR", help="Folder with the table. Overrides data.path.")
@click.option("--output", metavar="DIR", help="Folder for everything the run writes.  [default: output/<name>]")
@cli.set_option
@click.option("--groups", metavar="FILE", help="YAML file with groups of columns to leave out together, by name.")
@click.option(
    "--columns", multiple=True, metavar="NAMES", help="Leave out only these columns, with commas between them."
)
@click.option(
    "--repeats",
    type=click.IntRange(2, 100),
    default=5,
    show_default=True,
    metavar="N",
    help="Train with N seeds each.",
)
@click.option(
    "--margin",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.02,
    show_default=True,
    metavar="X",
    help="Count differences up to this fraction of what all columns are worth as nothing.",
)
@click.option("--tune/--no-tune", default=None, help="Use the hyperparameters of a search, or those in the settings.")
@cli.cache_option
@click.option("--json", "as_json", is_flag=True, help="Print only summary.json to standard output.")
@cli.verbose_option
@click.pass_obj
def ablate(
    run: Run, /, groups: str | None, columns: tuple[str, ...], repeats: int, margin: float, **options: Any
) -> None:
    """Find out what each column is worth, by training without it."""
    from pipeline.ablation.request import AblationOptions

    sys.exit(run(options, AblationOptions(groups, columns, repeats, margin)))
