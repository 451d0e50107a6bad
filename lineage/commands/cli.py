"""The command line: thin commands over queries; what is heavy is imported once one is asked."""

import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import click

REFUSED = 2
DEFAULT_OUTPUT = "output/taxi"
CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
Parameters = ParamSpec("Parameters")

TARGET = """\b
  a pushed version             1795339345
  its folder, or a copy of it  output/taxi/serving/taxi/1795339345
  an artifact's folder         output/taxi/artifacts/Trainer/model/9
  an artifact's number         13, or Trainer.model:13
  a node's newest output       Trainer.model"""


@click.group(context_settings=CONTEXT)
def main() -> None:
    """Ask ML Metadata where a model came from, and what came of its data."""


def _folder(_context: click.Context, _parameter: click.Parameter, value: str) -> Path:
    if not value:  # as a shell variable that is not set gives
        raise click.BadParameter("found ''; expected the output folder of the runs")
    return Path(value)


def _query(command: Callable[Concatenate[Path, bool, Parameters], None]) -> Callable[..., None]:
    """Gives a command ``--output`` and ``--json``, and has a refusal end in one line and exit code 2."""

    @click.option(
        "--output",
        callback=_folder,
        default=DEFAULT_OUTPUT,
        show_default=True,
        metavar="DIR",
        help="Output folder of the runs.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @wraps(command)
    def asked(output: Path, as_json: bool, *args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        from lineage.errors import LineageError

        try:
            _check_names(kwargs.values())
            command(output, as_json, *args, **kwargs)
        except LineageError as error:
            click.echo(f"error {' '.join(str(error).split())}", err=True)  # names may have line breaks
            sys.exit(REFUSED)

    return asked


def _check_names(values: Iterable[object]) -> None:
    from lineage.errors import LineageError

    for value in values:
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            raise LineageError(f"{value!r}: found bytes that are not UTF-8; expected a name as ML Metadata has them")


@main.command()
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Show the newest N.")
@_query
def runs(output: Path, as_json: bool, limit: int | None) -> None:
    """List the runs, newest first."""
    from lineage.commands import answers

    answers.runs(output, as_json, limit)


@main.command()
@click.argument("run")
@_query
def show(output: Path, as_json: bool, run: str) -> None:
    """Show a RUN: what it was started from, its nodes, what it found.

    RUN is its name, what only its name begins with, or 'latest'.
    """
    from lineage.commands import answers

    answers.show(output, as_json, run)


@main.command(epilog=TARGET)
@click.argument("what")
@_query
def trace(output: Path, as_json: bool, what: str) -> None:
    """Tell where something came from: data, schema, settings, code, evaluation, baseline.

    WHAT is one of those below. The folder of a pushed version says where it came from without any store, too.
    """
    from lineage.commands import answers

    answers.trace(output, as_json, what)


@main.command(epilog=TARGET)
@click.argument("what")
@_query
def impact(output: Path, as_json: bool, what: str) -> None:
    """Tell what came from something: models, pushed versions, failures.

    WHAT is one of those below, such as ExampleGen.examples or CuratedSchema.schema.
    """
    from lineage.commands import answers

    answers.impact(output, as_json, what)


@main.command()
@click.argument("before")
@click.argument("after")
@_query
def diff(output: Path, as_json: bool, before: str, after: str) -> None:
    """Tell what changed between two runs: data, schema, features, settings, code, metrics."""
    from lineage.commands import answers

    answers.diff(output, as_json, before, after)


@main.command()
@click.argument("node")
@click.option("--run", metavar="RUN", help="In which run.  [default: the newest that has the node]")
@_query
def why(output: Path, as_json: bool, node: str, run: str | None) -> None:
    """Tell why a NODE ran in a run, or was answered from the cache."""
    from lineage.commands import answers

    answers.why(output, as_json, node, run)


@main.command()
@click.argument("run", default="latest")
@_query
def html(output: Path, as_json: bool, run: str) -> None:
    """Write the page of a RUN, the newest by default, and the one over all runs."""
    from lineage.commands import answers

    answers.html(output, as_json, run)
