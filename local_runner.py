"""Runs the pipeline on this machine; see ``python local_runner.py --help``."""

import contextlib
import dataclasses
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import click

from pipeline import cli
from pipeline.nodes import NODES

STARTED = time.monotonic()
cli.keep_home_clean()
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # else this process takes a GPU from its workers
EXIT_HELP = """\b
Exit codes: 0 the model was pushed; 1 a component failed; 2 bad usage, settings or data;
3 the data does not meet the schema; 4 the model was not blessed."""


@dataclasses.dataclass(frozen=True)
class Options:
    """The command line; see ``--help``."""

    config: str
    data: str | None
    output: str | None
    overrides: dict[str, str]
    tune: bool | None
    workers: int | None
    from_node: str | None
    to_node: str | None
    no_cache: bool
    as_json: bool
    verbose: bool


@click.command(epilog=EXIT_HELP, context_settings=cli.CONTEXT)
@cli.config_option
@click.option("--data", metavar="DIR", help="Folder of the table, instead of the settings' data.path.")
@click.option("--output", metavar="DIR", help="Folder for what the run leaves behind.  [default: output/<name>]")
@cli.set_option
@click.option("--tune/--no-tune", default=None, help="Search hyperparameters, or take those of the settings.")
@click.option(
    "--workers", type=click.IntRange(1), metavar="N", help="Train, and search, with N processes on this machine."
)
@click.option(
    "--from", "from_node", type=click.Choice(NODES), metavar="NODE", help="Run this node and those behind it."
)
@click.option("--to", "to_node", type=click.Choice(NODES), metavar="NODE", help="Run only what leads to this node.")
@cli.cache_option
@click.option("--json", "as_json", is_flag=True, help="Print summary.json, alone, on standard output.")
@cli.verbose_option
def main(**options: Any) -> None:
    """Run the pipeline on this machine, from the table to a pushed model."""
    sys.exit(run(Options(**options)))


def run(options: Options) -> int:
    """Checks everything that can be checked, then runs the pipeline; returns the exit code."""
    from pipeline.config.errors import ConfigError
    from pipeline.config.loading import load_config, settings_path
    from pipeline.preflight.flink import check_flink
    from pipeline.preflight.metadata_store import check_store
    from pipeline.preflight.schema import check_against_schema, check_network, load_schema
    from pipeline.preflight.table import DataError, check_table
    from pipeline.results.run_folder import locked

    problem = None
    with contextlib.ExitStack() as stack:
        try:
            settings = settings_path(options.config)
            config = load_config(
                settings, options.overrides, options.data, options.output, options.tune, options.workers
            )
            problem = config.name
            schema = load_schema(config, settings)
            check_against_schema(config, schema, settings)
            check_network(config, settings)
            rows = check_table(config)
            check_flink(config.beam)
            stack.enter_context(locked(Path(config.output)))
            check_store(config)
        except (ConfigError, DataError) as error:
            return _refuse(options, problem, error)
        return _run_pipeline(options, config, schema, rows)


def _run_pipeline(options: Options, config: Any, schema: Any, rows: int) -> int:
    from common.deferred_imports import deferring
    from lineage.errors import LineageError
    from models.job import LOG_DIR
    from pipeline.config.errors import ConfigError
    from pipeline.results.console import RunConsole
    from pipeline.results.report_page import write_report
    from pipeline.results.run_folder import RunFolder, interrupted_runs, last_complete_run
    from pipeline.results.summary import refused

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite stop is as good as Ctrl-C
    output = Path(config.output)
    interrupted = interrupted_runs(output)
    folder = RunFolder(output)
    os.environ[LOG_DIR] = str(folder.training_logs)  # so that they can be watched, and are there if training fails
    with folder.capture() as (out, err):
        console = RunConsole(err if options.as_json else out)
        console.begin(config.name, folder.run_id, folder.log)
        try:
            from lineage.store.connection import explained

            with deferring():
                from pipeline.local import run as session  # takes seconds: it imports TFX

            request = session.Request(
                run_id=folder.run_id,
                from_node=options.from_node,
                to_node=options.to_node,
                enable_cache=not options.no_cache,
                interrupted=interrupted,
                base_run_id=last_complete_run(output),
                started=STARTED,
                rows=rows,
            )
            with explained(config.store):
                result = session.run(config, schema, request, console)
            summary, exception = result.summary, result.exception
            code = cli.EXIT_CODES[summary.status]
            folder.write_summary(summary)
            if summary.training:
                folder.link_training_logs(Path(summary.training.logs))
            page = write_report(output, folder.run_id, console)
            console.end(summary, result.anomalies, folder.log, options.config, page)
        except KeyboardInterrupt:
            # No summary.json: the next run then closes what this one left open.
            console.error("interrupted; the same command goes on from here")
            summary, exception, code = refused(config.name, "interrupted", folder.run_id), None, cli.INTERRUPTED
        except Exception as error:
            traceback.print_exc()  # to the log
            summary, exception = refused(config.name, str(error), folder.run_id), error
            code = cli.REFUSED if isinstance(error, ConfigError) else cli.FAILED
            folder.write_summary(summary)
            shown = f"{error}" if isinstance(error, LineageError) else f"{error!r}"
            console.error(f"{error}" if code == cli.REFUSED else f"{shown}; the full log: {folder.log}")
        if options.verbose and exception:
            traceback.print_exception(exception, file=err)
        if options.as_json:
            with contextlib.suppress(BrokenPipeError):
                print(summary.to_json(), file=out)
    return code


def _refuse(options: Options, problem: str | None, error: Exception) -> int:
    from pipeline.results.console import RunConsole
    from pipeline.results.summary import refused

    RunConsole(sys.stderr).error(str(error))
    if options.verbose:
        traceback.print_exception(error)
    if options.as_json:
        print(refused(problem, str(error)).to_json())
    return cli.REFUSED


if __name__ == "__main__":
    main()
