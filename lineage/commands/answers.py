"""Answers the commands: asks the store, and prints tables or JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lineage.commands.printing import Printer
from lineage.commands.trace_text import commit_of, made_rows, print_story
from lineage.errors import LineageError
from lineage.graph.nodes import RunNodes, nodes_of
from lineage.queries import difference, lookup
from lineage.queries import impact as downstream
from lineage.queries import trace as upstream
from lineage.queries import why as reasons
from lineage.queries.changes import Change, Kind
from lineage.queries.runs import all_runs, find_run
from lineage.recorded.provenance import FILE as PROVENANCE_FILE
from lineage.records import Run
from lineage.store.connection import quiet, reading

HEADLINE = 2  # metrics in the list of runs
KINDS: tuple[Kind, ...] = ("data", "schema", "features", "settings", "code")


def runs(output: Path, as_json: bool, limit: int | None) -> None:
    """Lists the runs."""
    with reading(output) as store:
        found = all_runs(store)[:limit]
    if as_json:
        Printer().json(found)
        return
    if not found:
        raise LineageError(f"{output}: no run is in this store yet; expected one by local_runner.py")
    rows = [
        (
            run.run_id,
            run.pipeline,
            run.status,
            None if run.seconds is None else f"{run.seconds:.0f} s",
            run.version,
            {name: f"{value:.4f}" for name, value in list(run.metrics.items())[:HEADLINE]},
            commit_of(run),
        )
        for run in found
    ]
    Printer().table("", ("run", "pipeline", "status", "time", "version", "metrics", "commit"), rows)


def show(output: Path, as_json: bool, name: str) -> None:
    """Shows one run."""
    with reading(output) as store:
        run = find_run(store, name)
        nodes = nodes_of(store, run)
    shown = _nodes(nodes)
    if as_json:
        Printer().json({**vars(run), "nodes": shown})
        return
    printer = Printer()
    printer.pairs(
        f"run {run.run_id}",
        {
            "pipeline": run.pipeline,
            "status": run.status,
            "started": run.started,
            "time": None if run.seconds is None else f"{run.seconds:.1f} s",
            "version": run.version,
            "error": run.error,
            **_origin(run),
        },
    )
    rows = [
        (each["node"], each["state"], f"{each['seconds']:.1f} s", each["outputs"], each["same_as"]) for each in shown
    ]
    printer.table("Nodes", ("node", "state", "time", "outputs", "made by run"), rows)
    printer.pairs("Metrics on the eval split", run.metrics)


def trace(output: Path, as_json: bool, what: str) -> None:
    """Tells where something came from."""
    provenance = lookup.provenance_of(what)
    story, note = None, None
    try:
        with reading(output) as store:
            target = lookup.find(store, output, what)
            provenance = target.provenance or provenance
            story = upstream.trace(store, target.artifact) if target.artifact else None
        if story is None:
            note = lookup.UNKNOWN.format(output=output)
    except LineageError as error:
        if provenance is None:
            raise
        note = str(error)
    if as_json:
        Printer().json({"provenance": provenance, "note": note, "story": story})
    elif story:
        print_story(Printer(), story, provenance)
    elif provenance:
        Printer().pairs(f"version {provenance.version}", vars(provenance))
        Printer().line(f"No more than its own {PROVENANCE_FILE} says: {note}")


def impact(output: Path, as_json: bool, what: str) -> None:
    """Tells what came from something."""
    with reading(output) as store:
        found = downstream.impact(store, lookup.find_artifact(store, output, what))
    printer = Printer()
    if as_json:
        printer.json(found)
        return
    printer.line(f"{found.artifact.name} ({found.type}) of run {found.artifact.run_id}: {found.artifact.uri}")
    versions = [(each.version, each.run_id, each.pushed_to, each.tflite_path) for each in found.versions]
    printer.table("Pushed versions", ("version", "run", "served from", "for devices"), versions)
    printer.table("Models", ("model", "run", "folder"), made_rows(found.models))
    printer.table("Models compared with it", ("model", "run", "folder"), made_rows(found.baseline_of))
    printer.pairs("Other artifacts", found.others)
    printer.pairs("In all", {"runs": found.runs, "failed": found.failed})
    if not (found.models or found.versions or found.others or found.baseline_of):
        printer.line("Nothing was made of it.")


def diff(output: Path, as_json: bool, before: str, after: str) -> None:
    """Tells what changed between two runs."""
    with reading(output) as store:
        found = difference.difference(store, find_run(store, before), find_run(store, after))
    printer = Printer()
    if as_json:
        printer.json(found)
        return
    printer.line(f"from run {found.before.run_id} to run {found.after.run_id}")
    for kind in KINDS:
        _print_changes(printer, kind.capitalize(), found.of(kind))
    if not found.changes:
        printer.line("Data, schema, features, settings and code are the same.")
    rows = [(each.metric, each.before, each.after, _growth(each.before, each.after)) for each in found.metrics]
    printer.table("Metrics on the eval split", ("metric", "before", "after", "change"), rows)
    nodes = [(each.node, each.before, each.after, each.same_outputs) for each in found.nodes]
    printer.table("Nodes", ("node", "before", "after", "same outputs"), nodes)


def why(output: Path, as_json: bool, node: str, name: str | None) -> None:
    """Tells why a node ran or was cached; in the newest run that has it, if none is named."""
    with reading(output) as store:
        run = find_run(store, name or lookup.newest_run(store, node))
        found = reasons.why(store, run, node)
    printer = Printer()
    if as_json:
        printer.json(found)
        return
    _print_reason(printer, found)
    for each in found.back_to:
        printer.line("")
        printer.line("which goes back to")
        _print_reason(printer, each)


def html(output: Path, as_json: bool, name: str) -> None:
    """Writes the page of a run, and the one over all runs."""
    with reading(output) as store:
        run = find_run(store, name)
        try:
            with quiet():  # TensorFlow tells of the machine, and of its own future
                from reports.index import write_pages  # noqa: PLC0415 - takes seconds

                page, index = write_pages(store, output, run.run_id)
        except OSError as error:
            raise LineageError(f"{error.filename}: {error.strerror}; expected a folder that can be written") from error
    pages = {"page": str(page), "index": str(index)}
    if as_json:
        Printer().json(pages)
    else:
        Printer().pairs(f"run {run.run_id}", pages)


def _nodes(nodes: RunNodes) -> list[dict[str, Any]]:
    return [
        {
            "node": name,
            "state": each.execution.state,
            "seconds": each.execution.seconds,
            "outputs": [nodes.line.name(artifact.id) for artifact in nodes.line.linked(each.execution.id, "output")],
            "same_as": each.made_by.run_id if each.made_by is not each.execution else None,
        }
        for name, each in nodes.nodes.items()
    ]


def _origin(run: Run) -> dict[str, Any]:
    if run.origin is None:
        return {}
    origin = run.origin
    return {
        "commit": commit_of(run, None),
        "lock": origin.lock,
        "command": origin.command,
        "by": f"{origin.user} on {origin.host}",
        "versions": {"python": origin.python, **origin.versions},
    }


def _print_changes(printer: Printer, title: str, changes: Sequence[Change]) -> None:
    rows = [(each.what, _value(each.before), _value(each.after), each.nodes) for each in changes]
    printer.table(title, ("what", "before", "after", "nodes"), rows)


def _value(value: Any) -> Any:
    return "(none)" if value is None else value


def _print_reason(printer: Printer, found: reasons.Reason) -> None:
    against = f" (against run {found.compared_with})" if found.compared_with else ""
    printer.line(f"{found.node} {found.state} in run {found.run_id}: {found.because}{against}")
    _print_changes(printer, "", found.changes)


def _growth(before: float | None, after: float | None) -> str | None:
    return None if before is None or after is None else f"{after - before:+.6g}"
