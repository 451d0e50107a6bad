"""Finds the run that a user names, and reads its details."""

from collections.abc import Sequence

from lineage.errors import LineageError
from lineage.graph.run_nodes import read_run_nodes
from lineage.queries.results import NodeSummary, RunDetails
from lineage.records import RunRecord
from lineage.store.reader import MetadataReader

LATEST = "latest"
MAX_NAMES = 3  # in an error


def find_run(reader: MetadataReader, name: str) -> RunRecord:
    """Returns a run.

    Args:
        reader: ML Metadata.
        name: The run's name, the start of its name, or ``latest``.

    Raises:
        LineageError: No run or several runs match.
    """
    exact = reader.run(name)
    if exact is not None:
        return exact
    runs = reader.runs()
    if not runs:
        raise no_runs(reader)
    if name == LATEST:
        return runs[0]
    matching = [run for run in runs if run.run_id.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise LineageError(
            f"run '{name}': {len(matching)} runs start with this: {_names(matching)}; expected a longer name"
        )
    raise LineageError(f"run '{name}': not found; expected '{LATEST}' or a run such as {_names(runs)}")


def read_run_details(reader: MetadataReader, run: RunRecord) -> RunDetails:
    """Adds the nodes of a run."""
    nodes, graph = read_run_nodes(reader, run)
    summaries = [
        NodeSummary(
            node=node,
            state=each.execution.state,
            seconds=each.execution.seconds,
            outputs=[graph.name(artifact.id) for artifact in graph.artifacts_of(each.execution.id, "output")],
            same_as=each.producer.run_id if each.producer is not each.execution else None,
        )
        for node, each in nodes.items()
    ]
    return RunDetails(**vars(run), nodes=summaries)


def no_runs(reader: MetadataReader) -> LineageError:
    """Returns the error for a store without runs."""
    return LineageError(f"{reader.store_name}: the store has no runs yet; start one with local_runner.py")


def _names(runs: Sequence[RunRecord]) -> str:
    more = ", …" if len(runs) > MAX_NAMES else ""
    return ", ".join(run.run_id for run in runs[:MAX_NAMES]) + more
