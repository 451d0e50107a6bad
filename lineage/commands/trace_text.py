"""Prints a story: where an artifact came from."""

from collections.abc import Sequence

from lineage.commands.printing import Printer
from lineage.queries.trace_records import Data, Made, Story
from lineage.recorded.provenance import Provenance
from lineage.records import Run

DIGITS = 10  # of a digest, which tell it from others


def print_story(printer: Printer, story: Story, provenance: Provenance | None) -> None:
    """Prints where an artifact came from."""
    printer.pairs(
        f"version {story.version}" if story.version else f"{story.artifact.name} ({story.type})",
        {
            "artifact": story.artifact.name if story.version else None,
            "folder": story.artifact.uri,
            "served from": story.pushed_to,
            "for devices": story.tflite_path,
            "run": story.artifact.run_id,
            "pushed": provenance.pushed if provenance else None,
        },
    )
    for data in story.data:
        _print_data(printer, data)
    printer.pairs("Rows by split", story.rows)
    steps = [story.statistics, story.anomalies, story.schema, story.transform_graph, story.model, story.evaluation]
    made = [artifact for artifacts in steps for artifact in artifacts]
    printer.table("Made on the way", ("artifact", "run", "folder"), made_rows(made))
    printer.pairs("Hyperparameters", story.hyperparameters)
    names = list(dict.fromkeys(name for trial in story.trials for name in trial))
    trials = [[trial.get(name) for name in names] for trial in story.trials]
    printer.table("Trials of the Tuner, best first", names, trials)
    printer.pairs("Metrics on the eval split", story.metrics)
    _print_judgements(printer, story)
    printer.pairs("On a device", story.tflite or {})
    printer.pairs("Digests of the code", story.code)
    _print_runs(printer, story.runs)


def _print_data(printer: Printer, data: Data) -> None:
    now = {True: "as they were", False: "not as they were", None: None}[data.as_they_were]
    about = {
        "read from": data.source,
        "span": data.span,
        "version": data.version,
        "fingerprint": data.fingerprint,
        "files": f"{len(data.files)} there now, {now}" if now else None,
        "run": data.run_id,
    }
    printer.pairs(f"Data: {data.name}", about)


def _print_judgements(printer: Printer, story: Story) -> None:
    decisions = {True: "blessed", False: "refused"}
    rows = [(each.judge, decisions[each.blessed], each.reason, each.name) for each in story.judgements]
    printer.table("Judged by", ("judge", "decision", "reason", "artifact"), rows)
    for title, others in (
        ("Compared with", story.baseline),
        ("Training began with the weights of", story.warm_start),
    ):
        printer.table(title, ("model", "version", "run"), [(each.name, each.version, each.run_id) for each in others])


def _print_runs(printer: Printer, runs: Sequence[Run]) -> None:
    rows = [
        (
            run.run_id,
            run.status,
            run.started,
            commit_of(run),
            (run.origin.lock or "")[:DIGITS] if run.origin else None,
            run.origin.user if run.origin else None,
        )
        for run in runs
    ]
    printer.table("Runs", ("run", "status", "started", "commit", "lock", "by"), rows)


def made_rows(artifacts: Sequence[Made]) -> list[tuple[str, str | None, str]]:
    """Rows of a table of artifacts."""
    return [(each.name, each.run_id, each.uri) for each in artifacts]


def commit_of(run: Run, digits: int | None = DIGITS) -> str:
    """A run's commit, in so many digits, and whether files differed from it; empty where there is none."""
    if run.origin is None or run.origin.commit is None:
        return ""
    return run.origin.commit[:digits] + (" and changes" if run.origin.dirty else "")
