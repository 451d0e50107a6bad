"""One run from settings to summary, once the checks are passed."""

import dataclasses
import datetime
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from absl import logging
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from common import progress
from custom_components.anomaly_gate.anomaly import Anomaly, DataAnomaliesError
from lineage.graph.contexts import executions_of
from lineage.recorded import run_properties as recording
from lineage.recorded.origin import origin
from lineage.records import Ending
from pipeline.beam.flink.job_server import job_servers
from pipeline.config.settings import Config
from pipeline.local.pushed_versions import Folders, is_served
from pipeline.local.recovery import close_interrupted
from pipeline.local.runner import LocalRunner, NodeFailedError
from pipeline.nodes import Listener
from pipeline.pipeline import create_pipeline
from pipeline.preflight.metadata_store import prepare_store
from pipeline.results.node_outputs import output_id, read_outcome
from pipeline.results.summary import Outcome, Status, Summary

PUSHER = "Pusher"
PUSHED = (("Trainer", "model"), ("TfliteExporter", "tflite_model"))


@dataclasses.dataclass(frozen=True)
class Request:
    """What to run.

    Attributes:
        run_id: Name of the run.
        from_node: Run this node and those behind it.
        to_node: Run no node that this one does not need.
        enable_cache: Whether unchanged nodes are answered from ML Metadata.
        interrupted: Earlier runs that were killed.
        base_run_id: The run that ``from_node`` goes on from.
        started: ``time.monotonic()`` at the start of the command.
        rows: Rows of the table; 0 if they were not counted.
    """

    run_id: str
    from_node: str | None
    to_node: str | None
    enable_cache: bool
    interrupted: Sequence[str]
    base_run_id: str | None
    started: float
    rows: int = 0


@dataclasses.dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        summary: What ``summary.json`` holds.
        anomalies: What the anomaly gate stopped on.
        exception: What made a node fail.
    """

    summary: Summary
    anomalies: tuple[Anomaly, ...] = ()
    exception: Exception | None = None


def run(config: Config, schema: schema_pb2.Schema, request: Request, listener: Listener) -> Result:
    """Runs the pipeline and reads what it found.

    A failing node ends the run and is told in the result, not raised.

    Raises:
        ConfigError: ``from_node`` or ``to_node`` cannot be had.
    """
    logging.set_verbosity(logging.INFO)
    pipeline = create_pipeline(config, text_format.MessageToString(schema), request.enable_cache, request.rows)

    def may_cache(node_id: str, executions: Mapping[str, int]) -> bool:
        if node_id != PUSHER or "Trainer" not in executions:
            return True
        with runner.store() as handle:
            made = [output_id(handle.store, executions[node], key) for node, key in PUSHED if node in executions]
            return is_served(handle.store, Folders(Path(config.serving_dir), Path(config.tflite_dir)), made)

    prepare_store(config)
    runner = LocalRunner(pipeline, request.run_id, listener, may_cache)
    with runner.store() as handle:
        close_interrupted(handle.store, request.interrupted, Path(config.artifacts_dir))
        base_nodes = executions_of(handle.store, request.base_run_id) if request.base_run_id else ()
    _begin(runner, config, request)
    try:
        result = _finished(runner, config, request, listener, base_nodes)
    except BaseException as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        _end(runner, request, Ending(status, time.monotonic() - request.started, error=str(error) or None))
        raise
    _end(runner, request, _ending(result.summary))
    return result


def _finished(
    runner: LocalRunner, config: Config, request: Request, listener: Listener, base_nodes: Collection[str]
) -> Result:
    """Runs the nodes, and reads what they found."""
    failure = None
    try:
        with progress.listening(listener.node_said), job_servers():
            runner.run(request.from_node, request.to_node, request.base_run_id, base_nodes)
    except NodeFailedError as error:
        failure = error
    with runner.store() as handle:
        outcome = read_outcome(handle.store, config, executions_of(handle.store, request.run_id))
    cause = failure.__cause__ if failure else None
    anomalies = cause.anomalies if isinstance(cause, DataAnomaliesError) else ()
    summary = Summary(
        run_id=request.run_id,
        problem=config.name,
        status=_status(outcome, failure, anomalies),
        nodes=[dataclasses.replace(node, seconds=round(node.seconds, 3)) for node in runner.nodes],
        rows=outcome.rows,
        metrics=outcome.metrics,
        thresholds=outcome.thresholds,
        baseline=outcome.baseline,
        hyperparameters=outcome.hyperparameters,
        training=outcome.training,
        pushed=outcome.pushed,
        tflite=outcome.tflite,
        error=_error(outcome, failure),
        seconds=round(time.monotonic() - request.started, 3),
    )
    return Result(summary, anomalies, failure)


def _begin(runner: LocalRunner, config: Config, request: Request) -> None:
    """Has ML Metadata say what the run is started from."""
    so_far = datetime.timedelta(seconds=time.monotonic() - request.started)
    started = datetime.datetime.now(datetime.UTC) - so_far
    with runner.store() as handle:
        recording.begin(handle.store, config.pipeline_name, request.run_id, started, origin(dataclasses.asdict(config)))


def _end(runner: LocalRunner, request: Request, ending: Ending) -> None:
    with runner.store() as handle:
        recording.end(handle.store, request.run_id, ending)


def _ending(summary: Summary) -> Ending:
    version = summary.pushed.version if summary.pushed else None
    return Ending(summary.status, summary.seconds, version, summary.metrics, summary.error)


def _error(outcome: Outcome, failure: NodeFailedError | None) -> str | None:
    if failure:
        return f"{failure.node_id}: {failure}"
    if outcome.skew:
        return f"SkewGuard: {outcome.skew}"
    return f"TfliteExporter: {outcome.tflite_refused}" if outcome.tflite_refused else None


def _status(outcome: Outcome, failure: NodeFailedError | None, anomalies: Sequence[Anomaly]) -> Status:
    if failure:
        return "anomalies" if anomalies else "failed"
    if outcome.blessed is False or outcome.skew or outcome.tflite_refused:
        return "not_blessed"
    return "pushed" if outcome.pushed else "partial"
