"""Runs the pipeline on this machine. See ``python local_runner.py --help``."""

import contextlib
import dataclasses
import os
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import click

from common.child_processes import end_children, prepare_environment
from common.keras_environment import set_keras_environment
from common.terminal import print_traceback, run_command
from pipeline import cli, exit_codes
from pipeline.local import interruption
from pipeline.nodes import NODES

if TYPE_CHECKING:
    from artifacts.summary import RunSummary
    from pipeline.ablation.request import AblationOptions
    from pipeline.local.run import FinishedRun
    from pipeline.preflight.preflight import CheckedInputs
    from pipeline.results.console import RunConsole
    from pipeline.results.run_folder import RunFolder

STARTED = time.monotonic()
set_keras_environment()
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # else this process takes the GPU from its workers
EXIT_HELP = """\b
Commands: python local_runner.py init --help drafts the settings and the schema of your own table;
ablate --help finds out what each column is worth.
Exit codes: 0 the model was pushed; 1 a component failed; 2 invalid usage, settings or data;
3 the data does not match the schema; 4 the model was not blessed."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of the command. See ``--help``. Those of ``ablate`` are in ``ablation``."""

    config: str
    data: str | None
    output: str | None
    overrides: dict[str, str]
    tune: bool | None
    no_cache: bool
    as_json: bool
    verbose: bool
    workers: int | None = None
    from_node: str | None = None
    to_node: str | None = None
    ablation: "AblationOptions | None" = None


@click.command(epilog=EXIT_HELP, context_settings=cli.CONTEXT)
@cli.config_option
@click.option("--data", metavar="DIR", help="Folder with the table. Overrides data.path.")
@click.option("--output", metavar="DIR", help="Folder for everything the run writes.  [default: output/<name>]")
@cli.set_option
@click.option("--tune/--no-tune", default=None, help="Search for hyperparameters, or use those in the settings.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Train and tune with N processes on this machine.")
@click.option(
    "--from", "from_node", type=click.Choice(NODES), metavar="NODE", help="Run this node and those downstream of it."
)
@click.option(
    "--to", "to_node", type=click.Choice(NODES), metavar="NODE", help="Run only this node and those upstream of it."
)
@cli.cache_option
@click.option("--json", "as_json", is_flag=True, help="Print only summary.json to standard output.")
@cli.verbose_option
def main(**options: Any) -> None:
    """Run the pipeline on this machine, from the table to a pushed model."""
    prepare_environment()
    sys.exit(run(Options(**options)))


def run(options: Options) -> int:
    """Runs all checks that need no component, then the pipeline, and returns the exit code."""
    from pipeline.ablation.request import ablation_settings
    from pipeline.config.errors import UserError
    from pipeline.config.loading import load_config, settings_path
    from pipeline.preflight.metadata_store import check_store
    from pipeline.preflight.preflight import preflight
    from pipeline.results.run_folder import RunFolder, interrupted_runs, locked

    problem = None
    with contextlib.ExitStack() as stack:
        try:
            settings = settings_path(options.config)
            config = load_config(
                settings, options.overrides, options.data, options.output, options.tune, options.workers
            )
            problem = config.name
            ablation = ablation_settings(config, options.ablation) if options.ablation else None
            inputs = dataclasses.replace(preflight(config, settings), ablation=ablation)
            stack.enter_context(locked(Path(config.output)))
            check_store(config)
            interrupted = interrupted_runs(Path(config.output))
            folder = RunFolder(Path(config.output))
        except (UserError, OSError) as error:
            return _refuse(options, problem, str(error), error)
        except KeyboardInterrupt as error:  # a large table takes a while to check
            _refuse(options, problem, "interrupted before the first node", error)
            return exit_codes.INTERRUPTED
        return _run_in_folder(options, inputs, folder, interrupted)


def _run_in_folder(options: Options, inputs: "CheckedInputs", folder: "RunFolder", interrupted: list[str]) -> int:
    """Runs the pipeline in a new run folder, and prints the result."""
    from artifacts.summary import failed_summary
    from models.job import LOG_DIR
    from pipeline.results.console import RunConsole

    config = inputs.config
    os.environ[LOG_DIR] = str(folder.training_logs)  # so that you can watch them during training
    error: Exception | None = None
    with folder.capture() as (out, err):
        console = RunConsole(err if options.as_json else out)
        console.begin(config.name, folder.run_id, folder.log, inputs.table.notes)
        for warning in inputs.warnings:
            console.warning(warning)

        def end() -> NoReturn:
            # Without a summary.json, the next run closes this one.
            stopped = failed_summary(config.name, "interrupted", folder.run_id)
            _end(console, stopped, folder, out if options.as_json else None)

        try:
            with interruption.interruptible(end):
                finished = _run_nodes(options, inputs, interrupted, folder, console)
            summary, error = finished.summary, finished.failure
            code = exit_codes.BY_STATUS[summary.status]
        except KeyboardInterrupt:
            end()
        except Exception as caught:
            error = caught
            summary = failed_summary(config.name, str(error), folder.run_id)
            code = _report_error(error, folder, console)
            with contextlib.suppress(OSError):  # the disk may be full
                folder.write_summary(summary)
        if options.verbose and error:
            print_traceback(error, err)
        if options.as_json and not _print_summary(summary, out, console):
            code = exit_codes.FAILED
    return code


def _print_summary(summary: "RunSummary", out: IO[str], console: "RunConsole") -> bool:
    """Prints the summary, and returns whether that was possible or nobody reads it."""
    try:
        print(summary.to_json(), file=out, flush=True)
    except BrokenPipeError:
        return True
    except OSError as error:
        console.error(f"standard output: {error.strerror}; the summary is only in the run's folder")
        return False
    return True


def _end(console: "RunConsole", summary: "RunSummary", folder: "RunFolder", out: IO[str] | None) -> NoReturn:
    """Ends an interrupted run: its child processes first, and this process without waiting for its threads.

    The output folder stays locked until then.
    """
    from pipeline.results.temporary_folder import remove_temporary_folders

    end_children()
    remove_temporary_folders([folder.path])
    console.error("interrupted; run the same command to resume")
    if out:
        _print_summary(summary, out, console)
    os._exit(exit_codes.INTERRUPTED)


def _run_nodes(
    options: Options, inputs: "CheckedInputs", interrupted: list[str], folder: "RunFolder", console: "RunConsole"
) -> "FinishedRun":
    """Runs the nodes, and writes the summary and the report."""
    from common.deferred_imports import defer_imports
    from lineage.store.connection import one_line_errors
    from pipeline.results.report_page import write_report
    from pipeline.results.temporary_folder import remove_temporary_folders, temporary_folder

    with defer_imports():
        from pipeline.local.run import RunOptions, run_pipeline  # takes seconds: imports TFX

    output = Path(inputs.config.output)
    run_options = RunOptions(
        run_id=folder.run_id,
        from_node=options.from_node,
        to_node=options.to_node,
        enable_cache=not options.no_cache,
        interrupted=interrupted,
        started=STARTED,
    )
    remove_temporary_folders(output / "runs" / run_id for run_id in interrupted)
    with temporary_folder(folder.path), one_line_errors(inputs.config.store):
        finished = run_pipeline(inputs, run_options, console)
    summary = finished.summary
    folder.write_summary(summary)
    if summary.training:
        folder.link_training_logs(Path(summary.training.logs))
    page = write_report(output, folder.run_id, console)
    console.end(summary, finished.anomalies, folder.log, options.config, page)
    return finished


def _report_error(error: Exception, folder: "RunFolder", console: "RunConsole") -> int:
    """Reports an error outside of the nodes and returns the exit code. The traceback goes to the log."""
    from lineage.errors import LineageError
    from pipeline.config.errors import ConfigError

    with contextlib.suppress(OSError):
        traceback.print_exc()  # goes to the log, whose disk may be full
    if isinstance(error, ConfigError):
        console.error(str(error))
        return exit_codes.REFUSED
    shown = str(error) if isinstance(error, LineageError | ValueError | OSError) else repr(error)
    console.error(f"{shown}; full log: {shlex.quote(str(folder.log))}")
    return exit_codes.FAILED


def _refuse(options: Options, problem: str | None, text: str, error: BaseException) -> int:
    """Reports why nothing was run and returns the exit code."""
    from artifacts.summary import failed_summary
    from pipeline.results.console import RunConsole

    RunConsole(sys.stderr).error(text)
    if options.verbose:
        print_traceback(error, sys.stderr)
    if options.as_json:
        print(failed_summary(problem, text).to_json())
    return exit_codes.REFUSED


def ablate(values: dict[str, Any], ablation: "AblationOptions") -> int:
    """Runs the pipeline up to Transform, then the ablation, and returns the exit code."""
    prepare_environment()
    return run(Options(**values, ablation=ablation))


def command(arguments: Sequence[str]) -> Callable[[], object]:
    """The command that a command line names by its first word. Without such a word, the pipeline runs."""
    if arguments[:1] == ["init"]:
        from pipeline.drafting.command import init

        return lambda: init(arguments[1:], prog_name="local_runner.py init")
    if arguments[:1] == ["ablate"]:
        from pipeline.ablation import command as ablation

        return lambda: ablation.ablate(arguments[1:], prog_name="local_runner.py ablate", obj=ablate)
    return main


if __name__ == "__main__":
    run_command(command(sys.argv[1:]))
