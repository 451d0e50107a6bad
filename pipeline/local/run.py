"""One local run, from checked inputs to its summary."""

import dataclasses
import datetime
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from absl import logging
from google.protobuf import text_format

from artifacts.summary import RunSummary, Status
from common import progress
from custom_components.anomaly_gate.anomaly import Anomaly, DataAnomaliesError
from lineage.recorded.origin import collect_origin
from lineage.recorded.run_recorder import RunRecorder
from lineage.store.reader import MetadataReader
from pipeline.ablation.pipeline import ablation_pipeline
from pipeline.beam.flink.job_server import job_servers
from pipeline.config.settings import Config
from pipeline.local.dag_runner import DagRunner, NodeFailedError
from pipeline.local.push_cache import PushFolders, may_skip_push
from pipeline.local.recovery import clean_up
from pipeline.nodes import PUSHER, Listener
from pipeline.pipeline import create_pipeline
from pipeline.preflight.metadata_store import prepare_store
from pipeline.preflight.preflight import CheckedInputs
from pipeline.results.node_outputs import NodeOutputs, read_node_outputs
from pipeline.results.run_folder import last_complete_run


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Options of one run.

    Attributes:
        run_id: Name of the run.
        from_node: Run this node and those downstream of it.
        to_node: Run only this node and those upstream of it.
        enable_cache: Whether to reuse the outputs of unchanged nodes.
        interrupted: Earlier runs that were killed.
        started: ``time.monotonic()`` at the start of the command.
    """

    run_id: str
    from_node: str | None
    to_node: str | None
    enable_cache: bool
    interrupted: Sequence[str]
    started: float


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """A run whose nodes have ended.

    Attributes:
        summary: The contents of ``summary.json``.
        failure: The error of the node that failed, if one did.
    """

    summary: RunSummary
    failure: NodeFailedError | None = None

    @property
    def anomalies(self) -> Sequence[Anomaly]:
        """The anomalies that made the anomaly gate stop the run."""
        return _anomalies(self.failure)


def run_pipeline(inputs: CheckedInputs, options: RunOptions, listener: Listener) -> FinishedRun:
    """Runs the pipeline, records the run in ML Metadata and summarizes it.

    A node that fails ends the run. Its error is returned, not raised.

    Raises:
        ConfigError: The pipeline has no such ``from_node`` or ``to_node``, or no earlier run to start from.
    """
    logging.set_verbosity(logging.INFO)
    config = inputs.config
    schema_text = text_format.MessageToString(inputs.schema)
    if inputs.ablation:
        pipeline = ablation_pipeline(config, inputs.ablation, schema_text, options.enable_cache, inputs.table)
    else:
        pipeline = create_pipeline(config, schema_text, options.enable_cache, inputs.table)

    def may_cache(node_id: str) -> bool:
        if node_id != PUSHER:
            return True
        folders = PushFolders(Path(config.serving_dir), Path(config.tflite_dir))
        with runner.metadata() as connection:
            return may_skip_push(MetadataReader(connection.store), folders, options.run_id)

    prepare_store(config)
    runner = DagRunner(pipeline, options.run_id, listener, may_cache)
    with runner.metadata() as connection:
        clean_up(connection.store, Path(config.output), Path(config.artifacts_dir), options.interrupted)
        reader = MetadataReader(connection.store)
        base_run_id = last_complete_run(Path(config.output), lambda run_id: reader.run(run_id) is not None)
        base_nodes = reader.finished_executions(base_run_id) if base_run_id else ()
    _record_start(runner, config, options)
    try:
        with progress.listening(listener.node_progress), job_servers():
            failure = _run_nodes(runner, options, base_run_id, base_nodes)
        summary = _summarize(runner, inputs, options, failure)
    except BaseException as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        with runner.metadata() as connection:
            recorder = RunRecorder(connection.store, options.run_id)
            recorder.end(status, time.monotonic() - options.started, error=str(error) or None)
        raise
    _record_end(runner, options, summary)
    return FinishedRun(summary, failure)


def _run_nodes(
    runner: DagRunner, options: RunOptions, base_run_id: str | None, base_nodes: Collection[str]
) -> NodeFailedError | None:
    """Runs the nodes and returns the error of the one that failed."""
    try:
        runner.run(options.from_node, options.to_node, base_run_id, base_nodes)
    except NodeFailedError as error:
        return error
    return None


def _summarize(
    runner: DagRunner, inputs: CheckedInputs, options: RunOptions, failure: NodeFailedError | None
) -> RunSummary:
    config = inputs.config
    with runner.metadata() as connection:
        reader = MetadataReader(connection.store)
        outputs = read_node_outputs(reader, config, reader.finished_executions(options.run_id))
    return RunSummary(
        run_id=options.run_id,
        problem=config.name,
        status=_status(outputs, failure),
        nodes=[dataclasses.replace(node, seconds=round(node.seconds, 3)) for node in runner.nodes],
        rows=outputs.rows,
        left_out=outputs.left_out,
        warnings=inputs.warnings,
        metrics=outputs.metrics,
        thresholds=outputs.thresholds,
        baseline=outputs.baseline,
        hyperparameters=outputs.hyperparameters,
        training=outputs.training,
        pushed=outputs.pushed,
        tflite=outputs.tflite,
        ablation=outputs.ablation,
        error=_error(outputs, failure),
        seconds=round(time.monotonic() - options.started, 3),
    )


def _record_start(runner: DagRunner, config: Config, options: RunOptions) -> None:
    """Records in ML Metadata when and from which settings the run started."""
    elapsed = datetime.timedelta(seconds=time.monotonic() - options.started)
    started = datetime.datetime.now(datetime.UTC) - elapsed
    origin = collect_origin(dataclasses.asdict(config))
    with runner.metadata() as connection:
        RunRecorder(connection.store, options.run_id).begin(config.pipeline_name, started, origin)


def _record_end(runner: DagRunner, options: RunOptions, summary: RunSummary) -> None:
    """Records in ML Metadata how the run ended."""
    version = summary.pushed.version if summary.pushed else None
    with runner.metadata() as connection:
        recorder = RunRecorder(connection.store, options.run_id)
        recorder.end(summary.status, summary.seconds, version, summary.metrics, summary.error)


def _anomalies(failure: NodeFailedError | None) -> Sequence[Anomaly]:
    cause = failure.__cause__ if failure else None
    return cause.anomalies if isinstance(cause, DataAnomaliesError) else ()


def _error(outputs: NodeOutputs, failure: NodeFailedError | None) -> str | None:
    if failure:
        return f"{failure.node_id}: {failure}"
    if outputs.skew:
        return f"SkewGuard: {outputs.skew}"
    return f"TfliteExporter: {outputs.tflite_refused}" if outputs.tflite_refused else None


def _status(outputs: NodeOutputs, failure: NodeFailedError | None) -> Status:
    if failure:
        return "anomalies" if _anomalies(failure) else "failed"
    if outputs.blessed is False or outputs.skew or outputs.tflite_refused:
        return "not_blessed"
    return "pushed" if outputs.pushed else "partial"
