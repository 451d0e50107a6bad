"""Prints where an artifact came from, and what was made from it."""

from collections.abc import Sequence

from artifacts.names import PROVENANCE_FILE
from lineage.commands.print_runs import format_commit
from lineage.commands.printer import Printer, print_json
from lineage.queries.results import Impact, NamedArtifact, NamedTrace, Trace, TracedData
from lineage.recorded.provenance import Provenance
from lineage.records import RunRecord

LOCK_DIGITS = 10


def print_named_trace(result: NamedTrace, as_json: bool) -> None:
    """Prints the trace, or the provenance of a pushed version if there is no trace."""
    printer = Printer()
    if as_json:
        print_json(result)
    elif result.story:
        _print_trace(printer, result.story, result.provenance)
    elif result.provenance:
        printer.pairs(f"version {result.provenance.version}", vars(result.provenance))
        printer.line(f"This is all that its {PROVENANCE_FILE} has. There is no trace: {result.note}")


def print_impact(impact: Impact, as_json: bool) -> None:
    """Prints what was made from an artifact."""
    if as_json:
        print_json(impact)
        return
    printer = Printer()
    printer.line(f"{impact.artifact.name} ({impact.type}) of run {impact.artifact.run_id}: {impact.artifact.uri}")
    versions = [(each.version, each.run_id, each.pushed_to, each.tflite_path) for each in impact.versions]
    printer.table("Pushed versions", ("version", "run", "SavedModel", "TFLite model"), versions)
    _print_artifacts(printer, "Models", "model", impact.models)
    _print_artifacts(printer, "Models compared with it", "model", impact.baseline_of)
    printer.pairs("Other artifacts", impact.others)
    printer.pairs("Total", {"runs": impact.runs, "failed": impact.failed})
    if not (impact.models or impact.versions or impact.others or impact.baseline_of):
        printer.line("Nothing was made from it.")


def _print_trace(printer: Printer, trace: Trace, provenance: Provenance | None) -> None:
    printer.pairs(
        f"version {trace.version}" if trace.version else f"{trace.artifact.name} ({trace.type})",
        {
            "artifact": trace.artifact.name if trace.version else None,
            "folder": trace.artifact.uri,
            "SavedModel": trace.pushed_to,
            "TFLite model": trace.tflite_path,
            "run": trace.artifact.run_id,
            "pushed": provenance.pushed if provenance else None,
        },
    )
    for data in trace.data:
        _print_data(printer, data)
    printer.pairs("Rows by split", trace.rows)
    steps = [trace.statistics, trace.anomalies, trace.schema, trace.transform_graph, trace.model, trace.evaluation]
    _print_artifacts(printer, "Artifacts", "artifact", [artifact for artifacts in steps for artifact in artifacts])
    printer.pairs("Hyperparameters", trace.hyperparameters)
    names = list(dict.fromkeys(name for trial in trace.trials for name in trial))
    trials = [[trial.get(name) for name in names] for trial in trace.trials]
    printer.table("Trials of the Tuner, best first", names, trials)
    printer.pairs("Metrics on the eval split", trace.metrics)
    _print_checks(printer, trace)
    printer.pairs("TFLite model", trace.tflite or {})
    printer.pairs("Digests of the code", trace.code)
    _print_runs(printer, trace.runs)


def _print_data(printer: Printer, data: TracedData) -> None:
    changed = {True: "unchanged", False: "changed since", None: None}[data.as_they_were]
    rows = {
        "read from": data.source,
        "span": data.span,
        "version": data.version,
        "fingerprint": data.fingerprint,
        "files": f"{len(data.files)} found, {changed}" if changed else None,
        "run": data.run_id,
    }
    printer.pairs(f"Data: {data.name}", rows)


def _print_checks(printer: Printer, trace: Trace) -> None:
    decisions = {True: "blessed", False: "not blessed"}
    rows = [(each.judge, decisions[each.blessed], each.reason, each.name) for each in trace.judgements]
    printer.table("Checks", ("node", "decision", "reason", "artifact"), rows)
    for title, models in (("Compared with", trace.baseline), ("Warm start from", trace.warm_start)):
        printer.table(title, ("model", "version", "run"), [(each.name, each.version, each.run_id) for each in models])


def _print_runs(printer: Printer, runs: Sequence[RunRecord]) -> None:
    rows = [
        (
            run.run_id,
            run.status,
            run.started,
            format_commit(run),
            (run.origin.lock or "")[:LOCK_DIGITS] if run.origin else None,
            run.origin.user if run.origin else None,
        )
        for run in runs
    ]
    printer.table("Runs", ("run", "status", "started", "commit", "lock", "user"), rows)


def _print_artifacts(printer: Printer, title: str, kind: str, artifacts: Sequence[NamedArtifact]) -> None:
    printer.table(title, (kind, "run", "folder"), [(each.name, each.run_id, each.uri) for each in artifacts])
