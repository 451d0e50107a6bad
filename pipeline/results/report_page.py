"""Writes the report page of a run."""

import traceback
from pathlib import Path

from pipeline.results.console import RunConsole


def write_report(output: Path, run_id: str, console: RunConsole) -> Path | None:
    """Writes the page of a run and the index of all runs.

    An error here does not change the status of the run.

    Returns:
        The run's page, or ``None`` if it could not be written, which the console says in one line.
    """
    try:
        # Matplotlib and TFMA take a moment to import.
        from lineage.store.connection import reading  # noqa: PLC0415
        from reports.index import write_pages  # noqa: PLC0415

        with reading(output) as reader:
            page, _ = write_pages(reader, output, run_id)
    except (Exception, KeyboardInterrupt) as error:
        traceback.print_exc()  # to the log
        console.note(f"no report page: {type(error).__name__}: {error}".removesuffix(": "))
        return None
    return page
