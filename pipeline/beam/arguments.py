"""Beam arguments for each runner."""

import argparse
import os

from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.beam.dataflow import bigquery_args, dataflow_args, node_args
from pipeline.config.beam import Beam, Flink
from pipeline.config.settings import Config
from pipeline.nodes import EXAMPLE_GEN, TRANSFORM

# From this size on, Transform is faster with several processes. Each of them imports TensorFlow, and they process rows
# in no fixed order, so sums differ in the last bit from run to run. On two cores they took a seventh longer at 1.5
# million rows and a sixth less at 4.5 million. No other step gained (docs/performance.md).
MANY_ROWS = 3_000_000

# Makes TFX's Evaluator batch rows by size in bytes, up to 8,192 rows. By default Beam adapts the batch size to the
# elapsed time, up to 1,000 rows, so floating-point sums, and with them metrics, differ in the last bit from run to run.
# TFX's executors and its entry point on Vertex AI parse it as an absl flag. The resulting batch size is part of the
# steps' transforms, so remote workers do not need the flag.
BATCH_BY_SIZE = "--tfxio_use_byte_size_batching"


class Batching(PipelineOptions):
    """Declares TFX's flag to Beam, which would otherwise warn about an unknown argument."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(BATCH_BY_SIZE, action="store_true")


def beam_args(config: Config) -> list[str]:
    """Returns the arguments of all Beam steps.

    Raises:
        ConfigError: Beam does not have an option.
    """
    if config.orchestrator == "vertex" and config.dataflow:
        return [*dataflow_args(config, config.dataflow), BATCH_BY_SIZE]
    args = flink_args(config.beam.flink) if config.beam.runner == "flink" else local_args(config.beam)
    return [*args, BATCH_BY_SIZE]


def own_beam_args(config: Config, node_id: str, rows: int = 0) -> list[str]:
    """Returns the additional arguments of one step. They follow those of all steps, and Beam uses the last value.

    Args:
        config: All settings.
        node_id: Name of the step.
        rows: Rows of the table, or 0 if they were not counted.
    """
    if config.orchestrator == "vertex" and config.dataflow:
        return node_args(node_id, config.dataflow)
    has_several_cores = config.beam.workers != 1 and (os.cpu_count() or 1) > 1
    if node_id == TRANSFORM and config.beam.runner == "local" and rows >= MANY_ROWS and has_several_cores:
        return _mode_args(config.beam, "multi_processing")
    return bigquery_args(config) if node_id == EXAMPLE_GEN and config.data.bigquery else []


def local_args(settings: Beam) -> list[str]:
    """Returns the arguments for Beam's local runner.

    The runner is named explicitly because Beam's "DirectRunner" first tries to download another one. The image is not
    used, but without it TFX packages itself for remote workers in each Beam node, and leaves 52 MB in the temporary
    folder each time.
    """
    return [
        "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
        *_mode_args(settings, "in_memory"),
        "--sdk_container_image=none",
    ]


def _mode_args(settings: Beam, automatic: str) -> list[str]:
    mode = automatic if settings.mode == "auto" else settings.mode
    workers = 1 if mode == "in_memory" else settings.workers
    runner = ["--runner=pipeline.beam.worker_processes.FnApiRunner"] if mode == "multi_processing" else []
    return [f"--direct_running_mode={mode}", f"--direct_num_workers={workers}", *runner]


def flink_args(settings: Flink) -> list[str]:
    """Returns the arguments for a Flink cluster, whose workers have the same Python environment.

    The port of a job server that the run starts is not among them, since TFX would then find every step changed.
    """
    workers = ["--environment_type=LOOPBACK"]
    if settings.workers == "external":
        workers = ["--environment_type=EXTERNAL", f"--environment_config={settings.pool}"]
    return [
        "--runner=pipeline.beam.flink.runner.FlinkRunner",
        f"--flink_master={settings.address}",
        f"--parallelism={settings.parallelism}",
        *([f"--job_endpoint={settings.job_server}"] if settings.job_server else []),
        *workers,
        "--sdk_container_image=none",
    ]
