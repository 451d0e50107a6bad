"""Compiles, checks and submits the pipeline for Vertex AI. See ``python vertex_runner.py --help``."""

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from common.child_processes import prepare_environment
from common.keras_environment import set_keras_environment
from common.terminal import OutputError, print_traceback, printable, run_command
from pipeline import cli, exit_codes

if TYPE_CHECKING:
    from pipeline.config.settings import Config

set_keras_environment()
EXIT_HELP = """\b
Exit codes: 0 success (check: the model was pushed); 1 a task or Vertex AI failed;
2 invalid usage, settings or file; 3 the data does not match the schema; 4 the model was not blessed."""

project_option = click.option("--project", metavar="P", help="Google Cloud project. Overrides vertex.project.")
region_option = click.option("--region", metavar="R", help="Region. Overrides vertex.region.")


def _compile_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that compile and submit share."""
    options = [
        cli.config_option,
        click.option("--data", metavar="PATH", help="Folder with the table, in a bucket or in the image."),
        cli.set_option,
        project_option,
        region_option,
        click.option(
            "--bucket", metavar="gs://B", help="Bucket for everything that runs write. Overrides vertex.bucket."
        ),
        click.option("--image", metavar="I", help="Container image of the steps. Overrides vertex.image."),
        cli.cache_option,
        cli.verbose_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group(epilog=EXIT_HELP, context_settings=cli.CONTEXT)
def main() -> None:
    """Run the pipeline on Vertex AI."""
    prepare_environment()


@main.command()
@_compile_options
@click.option("--out", default="pipeline.json", show_default=True, metavar="FILE", help="File to write.")
def compile(out: str, verbose: bool, **options: Any) -> None:  # noqa: A001 - the command's name
    """Compile the pipeline into a file for Vertex AI. Needs no network access."""
    with _reported_errors(verbose) as (console, _):
        job, _ = _compile(options)
        from pipeline.vertex.compile import write_job  # imports TFX, so not before the settings are checked

        write_job(job, Path(out))
        tasks = job["pipelineSpec"]["root"]["dag"]["tasks"]
        quoted = shlex.quote(out)
        next_command = f".venv/bin/python vertex_runner.py check {quoted} --output output/check"
        print(printable(f"wrote {quoted}: {len(tasks)} tasks. Next: {next_command}"), file=console)


@main.command()
@_compile_options
@click.option("--out", metavar="FILE", help="Also write the compiled pipeline to this file.")
def submit(out: str | None, verbose: bool, **options: Any) -> None:
    """Compile and start a run on Vertex AI, or create its schedule if vertex.schedule is set."""
    with _reported_errors(verbose) as (console, _):
        job, config = _compile(options)
        from pipeline.vertex.compile import write_job
        from pipeline.vertex.submit import submit as send

        if out:
            write_job(job, Path(out))
        submitted = send(job, config)
        print(printable(f"{submitted.kind} {submitted.name} ({submitted.state}): {submitted.link}"), file=console)


@main.command()
@cli.config_option
@cli.set_option
@project_option
@region_option
@cli.verbose_option
def rollback(config: str, overrides: dict[str, str], project: str | None, region: str | None, verbose: bool) -> None:
    """Send all traffic of the endpoint to the previous version."""
    with _reported_errors(verbose) as (console, _):
        from pipeline.config.loading import load_vertex_block, settings_path
        from pipeline.vertex.rollback import roll_back

        done = roll_back(load_vertex_block(settings_path(config), overrides, project=project, region=region))
        shown = f"{done.endpoint} serves only {done.to_version}; {done.from_version} gets no more traffic"
        print(printable(shown), file=console)


def _folder(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Path | None:
    if text == "":  # an unset shell variable, which Path would turn into the current folder
        raise click.BadParameter("found ''; expected a folder")
    return Path(text) if text else None


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--output", required=True, metavar="DIR", callback=_folder, help="Folder for everything the tasks write.")
@click.option("--data", metavar="DIR", callback=_folder, help="Local folder with the table. Overrides the one in FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print only the result, as JSON, to standard output.")
@cli.verbose_option
def check(file: Path, output: Path, data: Path | None, as_json: bool, verbose: bool) -> None:
    """Run all tasks of a compiled FILE on this machine, as Vertex AI would."""
    with _reported_errors(verbose) as (out, err):
        from pipeline.results.console import RunConsole
        from pipeline.vertex.check import check as run_tasks

        signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM stops a check like Ctrl-C
        console = RunConsole(err if as_json else out)
        summary = run_tasks(file, output, console, data)
        if as_json:
            print(summary.to_json(), file=out)
        else:
            console.checked(summary.status, summary.pushed, summary.error, summary.seconds)
        sys.exit(exit_codes.BY_STATUS[summary.status])


def _compile(options: dict[str, Any]) -> tuple[dict[str, Any], "Config"]:
    """Checks the settings, compiles the pipeline, and returns the job and the settings."""
    from common.deferred_imports import defer_imports
    from pipeline.config.loading import load_vertex_config, settings_path
    from pipeline.preflight.preflight import preflight

    path = settings_path(options["config"])
    vertex = {key: options[key] for key in ("project", "region", "bucket", "image")}
    config = load_vertex_config(path, options["overrides"], options["data"], **vertex)
    inputs = preflight(config, path)
    with defer_imports():
        from pipeline.vertex.compile import compile_pipeline  # takes seconds: imports TFX

    return compile_pipeline(inputs, enable_cache=not options["no_cache"]), config


@contextlib.contextmanager
def _reported_errors(verbose: bool) -> Iterator[tuple[IO[str], IO[str]]]:
    """Hides what libraries print, and reports an error in one line.

    Yields:
        Standard output and error, for what the user should see.
    """
    from cloud.vertex import CloudError
    from pipeline.results.console import RunConsole
    from pipeline.results.run_folder import captured

    with captured(Path(os.devnull)) as (out, err):
        try:
            yield out, err
        except (OutputError, BrokenPipeError):
            raise
        except (ValueError, OSError, CloudError) as error:
            if verbose:
                print_traceback(error, err)
            RunConsole(err).error(str(error))
            sys.exit(exit_codes.FAILED if isinstance(error, CloudError) else exit_codes.REFUSED)
        except Exception as error:
            if verbose:
                print_traceback(error, err)
            RunConsole(err).error(f"{error!r}; --verbose prints the traceback")
            sys.exit(exit_codes.FAILED)
        except KeyboardInterrupt:
            RunConsole(err).error("interrupted")
            sys.exit(exit_codes.INTERRUPTED)


if __name__ == "__main__":
    run_command(main)
