"""Compiles the pipeline for Vertex AI, checks it here, and submits it; see ``python vertex_runner.py --help``."""

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from pipeline import cli

if TYPE_CHECKING:
    from pipeline.config.settings import Config

cli.keep_home_clean()
EXIT_HELP = """\b
Exit codes: 0 done (check: the model was pushed); 1 a task or Vertex AI failed; 2 bad usage, settings or file;
3 the data does not meet the schema; 4 the model was not blessed."""
VERTEX = ("project", "region", "bucket", "image")


project_option = click.option("--project", metavar="P", help="Google Cloud project, instead of vertex.project.")
region_option = click.option("--region", metavar="R", help="Region, instead of vertex.region.")


def _settings(command: Callable[..., None]) -> Callable[..., None]:
    """The options that compile and submit share."""
    options = [
        cli.config_option,
        click.option("--data", metavar="PATH", help="Folder of the table, gs:// or within the image."),
        cli.set_option,
        project_option,
        region_option,
        click.option("--bucket", metavar="gs://B", help="Where runs leave what they make, instead of vertex.bucket."),
        click.option("--image", metavar="I", help="Container of the steps, instead of vertex.image."),
        cli.cache_option,
        cli.verbose_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group(epilog=EXIT_HELP, context_settings=cli.CONTEXT)
def main() -> None:
    """Run the pipeline on Vertex AI."""


@main.command()
@_settings
@click.option("--out", default="pipeline.json", show_default=True, metavar="FILE", help="Where to write it.")
def compile(out: str, verbose: bool, **options: Any) -> None:  # noqa: A001 - the command's name
    """Write the pipeline as Vertex AI takes it; needs no network."""
    with _told(verbose) as (console, _):
        job, _ = _compiled(options)
        from pipeline.vertex.compile import write_job  # not before the settings are checked: it imports TFX

        write_job(job, Path(out))
        tasks = job["pipelineSpec"]["root"]["dag"]["tasks"]
        after = f".venv/bin/python vertex_runner.py check {out} --output output/check"
        print(f"wrote {out}: {len(tasks)} tasks. Next: {after}", file=console)


@main.command()
@_settings
@click.option("--out", metavar="FILE", help="Where to write what is sent.")
def submit(out: str | None, verbose: bool, **options: Any) -> None:
    """Compile, and start a run on Vertex AI, or make its schedule where vertex.schedule is set."""
    with _told(verbose) as (console, _):
        job, config = _compiled(options)
        from pipeline.vertex.compile import write_job  # as in compile
        from pipeline.vertex.submit import submit as send

        if out:
            write_job(job, Path(out))
        submitted = send(job, config)
        print(f"{submitted.kind} {submitted.name} ({submitted.state}): {submitted.link}", file=console)


@main.command()
@cli.config_option
@cli.set_option
@project_option
@region_option
@cli.verbose_option
def rollback(config: str, overrides: dict[str, str], project: str | None, region: str | None, verbose: bool) -> None:
    """Give the endpoint's traffic back to the version before."""
    with _told(verbose) as (console, _):
        from pipeline.config.loading import load_vertex_block, settings_path
        from pipeline.vertex.endpoint import roll_back

        back = roll_back(load_vertex_block(settings_path(config), overrides, project=project, region=region))
        print(f"{back.endpoint} serves {back.serving} alone; {back.left} gets no more requests", file=console)


def _folder(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Path | None:
    if text == "":  # of a shell's variable that is not set; a path of it is the folder that one is in
        raise click.BadParameter("found ''; expected a folder")
    return Path(text) if text else None


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--output", required=True, metavar="DIR", callback=_folder, help="Folder for all that the tasks make.")
@click.option("--data", metavar="DIR", callback=_folder, help="A folder of files that stands for the file's table.")
@click.option("--json", "as_json", is_flag=True, help="Print how it ended as JSON, alone, on standard output.")
@cli.verbose_option
def check(file: Path, output: Path, data: Path | None, as_json: bool, verbose: bool) -> None:
    """Run all tasks of a compiled FILE here, as Vertex AI does."""
    with _told(verbose) as (out, err):
        from pipeline.results.console import RunConsole
        from pipeline.vertex.check import check as run_tasks

        signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite stop is as good as Ctrl-C
        console = RunConsole(err if as_json else out)
        checked = run_tasks(file, output, console, data)
        if as_json:
            print(checked.to_json(), file=out)
        else:
            console.checked(checked.status, checked.pushed, checked.error, checked.seconds)
        sys.exit(cli.EXIT_CODES[checked.status])


def _compiled(options: dict[str, Any]) -> tuple[dict[str, Any], "Config"]:
    """The compiled pipeline, and the settings that it was compiled from."""
    from common.deferred_imports import deferring
    from pipeline.config.loading import load_vertex_config, settings_path
    from pipeline.preflight.schema import check_against_schema, check_network, load_schema

    path = settings_path(options["config"])
    vertex = {key: options[key] for key in ("project", "region", "bucket", "image")}
    config = load_vertex_config(path, options["overrides"], options["data"], **vertex)
    schema = load_schema(config, path)
    check_against_schema(config, schema, path)
    check_network(config, path)
    with deferring():
        from pipeline.vertex.compile import compile_pipeline  # takes seconds: it imports TFX

    return compile_pipeline(config, schema, enable_cache=not options["no_cache"]), config


@contextlib.contextmanager
def _told(verbose: bool) -> Iterator[tuple[IO[str], IO[str]]]:
    """Keeps what libraries print from the user, and tells an error in one line.

    Yields:
        Standard output and error, for what the user is to see.
    """
    from cloud.vertex import CloudError
    from pipeline.results.console import RunConsole
    from pipeline.results.run_folder import captured

    with captured(Path(os.devnull)) as (out, err):
        try:
            yield out, err
        except (ValueError, OSError, CloudError) as error:
            if verbose:
                traceback.print_exception(error, file=err)
            RunConsole(err).error(str(error))
            sys.exit(cli.FAILED if isinstance(error, CloudError) else cli.REFUSED)
        except Exception as error:
            if verbose:
                traceback.print_exception(error, file=err)
            RunConsole(err).error(f"{error!r}; --verbose prints where")
            sys.exit(cli.FAILED)
        except KeyboardInterrupt:
            RunConsole(err).error("interrupted")
            sys.exit(cli.INTERRUPTED)


if __name__ == "__main__":
    main()
