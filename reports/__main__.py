"""``python -m reports``: writes the page of a run and the index of all runs."""

import shlex
from pathlib import Path

import click

from common.keras_environment import set_keras_environment
from common.terminal import run_command
from lineage.commands.cli import CONTEXT, query


@click.command(context_settings=CONTEXT)
@click.argument("run", default="latest")
@query
def main(output: Path, as_json: bool, run: str) -> None:
    """Write the page of a RUN and the index of all runs.

    RUN is the name of a run, the start of a name, or 'latest', which is the default.
    """
    from lineage.commands.printer import Printer, print_json  # noqa: PLC0415 - --help answers in under a second
    from lineage.errors import LineageError  # noqa: PLC0415
    from lineage.queries.find_run import find_run  # noqa: PLC0415
    from lineage.store.connection import captured_stderr, reading  # noqa: PLC0415

    set_keras_environment()
    with reading(output) as reader:
        run_id = find_run(reader, run).run_id
        try:
            with captured_stderr():  # TensorFlow logs there
                from reports.index import write_pages  # noqa: PLC0415 - takes seconds

                page, index = write_pages(reader, output, run_id)
        except OSError as error:
            raise LineageError(f"{error.filename}: {error.strerror}; expected a folder that can be written") from error
    paths = {"page": str(page), "index": str(index)}
    if as_json:
        print_json(paths)
    else:
        Printer().pairs(f"run {run_id}", {name: shlex.quote(path) for name, path in paths.items()})


if __name__ == "__main__":
    run_command(lambda: main(prog_name="python -m reports"))
