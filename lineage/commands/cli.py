"""Commands of ``python -m lineage``. Imports are deferred so that ``--help`` is fast."""

import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, NoReturn, ParamSpec

import click

from common.terminal import OutputError, printable

USAGE_ERROR = 2
DEFAULT_OUTPUT = "output/taxi"
CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
Parameters = ParamSpec("Parameters")

NAME_HELP = """\b
  a pushed version                  1795339345
  its folder, or a copy of it       output/taxi/serving/taxi/1795339345
  the folder of an artifact         output/taxi/artifacts/Trainer/model/9
  the id of an artifact             13, or Trainer.model:13
  the newest output of a node       Trainer.model"""


@click.group(context_settings=CONTEXT)
def main() -> None:
    """Ask ML Metadata where a model came from, and what was made from its data."""


def _folder(_context: click.Context, _parameter: click.Parameter, value: str) -> Path:
    if not value:  # such as from a shell variable that is not set
        raise click.BadParameter("found ''; expected the output folder of the runs")
    return Path(value)


def query(command: Callable[Concatenate[Path, bool, Parameters], None]) -> Callable[..., None]:
    """Adds ``--output`` and ``--json`` to a command, and reports a ``LineageError`` in one line with exit code 2."""

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
    def wrapper(output: Path, as_json: bool, *args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        from lineage.errors import LineageError

        try:
            _check_names(kwargs.values())
            command(output, as_json, *args, **kwargs)
        except LineageError as error:
            _refuse(str(error))
        except (OutputError, BrokenPipeError):
            raise
        except OSError as error:
            _refuse(f"{error.filename}: {error.strerror}; expected a folder and files that you may read (--output)")

    return wrapper


def _check_names(values: Iterable[object]) -> None:
    from lineage.errors import LineageError

    for value in values:
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            raise LineageError(f"{value!r}: found bytes that are not UTF-8; expected a name in ML Metadata")


@main.command("runs")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only list the newest N runs.")
@query
def list_runs(output: Path, as_json: bool, limit: int | None) -> None:
    """List the runs, newest first."""
    from lineage.commands.print_runs import print_runs
    from lineage.queries.find_run import no_runs
    from lineage.store.connection import reading

    with reading(output) as reader:
        found = reader.runs()[:limit]
    if not found and not as_json:
        raise no_runs(reader)
    print_runs(found, as_json)


@main.command("show")
@click.argument("run")
@query
def show_run(output: Path, as_json: bool, run: str) -> None:
    """Show a RUN: its origin, its nodes and its metrics.

    RUN is the name of a run, the start of a name, or 'latest'.
    """
    from lineage.commands.print_runs import print_run_details
    from lineage.queries.find_run import find_run, read_run_details
    from lineage.store.connection import reading

    with reading(output) as reader:
        found = read_run_details(reader, find_run(reader, run))
    print_run_details(found, as_json)


@main.command("trace", epilog=NAME_HELP)
@click.argument("name")
@query
def trace_artifact(output: Path, as_json: bool, name: str) -> None:
    """Show where NAME came from: data, schema, settings, code, evaluation, baseline.

    NAME takes one of the forms listed below. For the folder of a pushed version, part of the answer is available even
    without ML Metadata.
    """
    from lineage.commands.print_trace import print_named_trace
    from lineage.queries.trace import trace_by_name

    print_named_trace(trace_by_name(output, name), as_json)


@main.command("impact", epilog=NAME_HELP)
@click.argument("name")
@query
def find_impact(output: Path, as_json: bool, name: str) -> None:
    """Show what was made from NAME: models, pushed versions, failed executions.

    NAME takes one of the forms listed below, such as ExampleGen.examples or CuratedSchema.schema.
    """
    from lineage.commands.print_trace import print_impact
    from lineage.queries.find_artifact import find_artifact
    from lineage.queries.impact import impact
    from lineage.store.connection import reading

    with reading(output) as reader:
        found = impact(reader, find_artifact(reader, output, name))
    print_impact(found, as_json)


@main.command("diff")
@click.argument("before")
@click.argument("after")
@query
def compare_runs(output: Path, as_json: bool, before: str, after: str) -> None:
    """Show what changed between two runs: data, schema, features, settings, code, metrics."""
    from lineage.commands.print_diff import print_diff
    from lineage.queries.diff import diff
    from lineage.queries.find_run import find_run
    from lineage.store.connection import reading

    with reading(output) as reader:
        found = diff(reader, find_run(reader, before), find_run(reader, after))
    print_diff(found, as_json)


@main.command("why")
@click.argument("node")
@click.option("--run", metavar="RUN", help="The run.  [default: the newest run that has the node]")
@query
def explain_node(output: Path, as_json: bool, node: str, run: str | None) -> None:
    """Explain why a NODE ran or was cached in a run."""
    from lineage.commands.print_why import print_reason
    from lineage.queries.find_artifact import newest_run
    from lineage.queries.find_run import find_run
    from lineage.queries.why import why
    from lineage.store.connection import reading

    with reading(output) as reader:
        found = why(reader, find_run(reader, run or newest_run(reader, node)), node)
    print_reason(found, as_json)


@main.command("html", hidden=True, add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("_arguments", nargs=-1, type=click.UNPROCESSED)
def refuse_html(_arguments: tuple[str, ...]) -> None:
    """Name the command that replaced this one."""
    _refuse("html: no longer a command; write the report pages with 'python -m reports RUN --output DIR'")


def _refuse(message: str) -> NoReturn:
    click.echo(printable(f"error {' '.join(message.split())}"), err=True)  # names may have line breaks
    sys.exit(USAGE_ERROR)
