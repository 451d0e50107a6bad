"""Arguments for Beam, by where it runs."""

import argparse
import os

from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.beam.dataflow import bigquery_args, dataflow_args, node_args
from pipeline.config.beam import Beam, Flink
from pipeline.config.settings import Config
from pipeline.nodes import EXAMPLE_GEN, TRANSFORM

# From here on processes of its own save Transform more than they cost: each imports TensorFlow, and they promise no
# order, so that sums differ by the last bit from run to run. On two cores they lost a seventh at 1.5 million rows and
# saved a sixth at 4.5 million, and no other step gained (docs/performance.md).
MANY_ROWS = 3_000_000

# Makes TFX's Evaluator batch rows by their bytes, up to 8,192 of them. Without it Beam chooses by the clock, up to
# 1,000: sums in floating point, and with them a metric, then differ from run to run by the last bit. Both
# TFX's executors and its entry point on Vertex AI take it for a flag of absl's; the size that comes of it is in the
# steps' own transforms, so workers elsewhere need not know of it.
BATCH_BY_SIZE = "--tfxio_use_byte_size_batching"


class Batching(PipelineOptions):
    """Lets Beam know of TFX's flag among its own arguments, where it would warn of it."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(BATCH_BY_SIZE, action="store_true")


def beam_args(config: Config) -> list[str]:
    """Arguments of all steps on Beam.

    Raises:
        ConfigError: An option that Beam does not have.
    """
    if config.orchestrator == "vertex" and config.dataflow:
        return [*dataflow_args(config, config.dataflow), BATCH_BY_SIZE]
    args = flink_args(config.beam.flink) if config.beam.runner == "flink" else local_args(config.beam)
    return [*args, BATCH_BY_SIZE]


def own_beam_args(config: Config, node_id: str, rows: int = 0) -> list[str]:
    """Arguments of one step, behind those of all; the last that is given counts.

    Args:
        config: All settings.
        node_id: The step.
        rows: Rows of the table, if they were counted.
    """
    if config.orchestrator == "vertex" and config.dataflow:
        return node_args(node_id, config.dataflow)
    several = config.beam.workers != 1 and (os.cpu_count() or 1) > 1
    if node_id == TRANSFORM and config.beam.runner == "local" and rows >= MANY_ROWS and several:
        return _mode_args(config.beam, "multi_processing")
    return bigquery_args(config) if node_id == EXAMPLE_GEN and config.data.bigquery else []


def local_args(settings: Beam) -> list[str]:
    """Arguments for Beam's local runner.

    The runner is named explicitly: Beam's "DirectRunner" first tries to download another one. So is an image, which
    it does not use: without one TFX packs itself up for workers elsewhere, in each node that uses Beam, and leaves
    52 MB in the temporary folder each time.
    """
    return [
        "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
        *_mode_args(settings, "in_memory"),
        "--sdk_container_image=none",
    ]


def _mode_args(settings: Beam, automatic: str) -> list[str]:
    mode = automatic if settings.mode == "auto" else settings.mode
    workers = 1 if mode == "in_memory" else settings.workers
    return [f"--direct_running_mode={mode}", f"--direct_num_workers={workers}"]


def flink_args(settings: Flink) -> list[str]:
    """Arguments for a Flink cluster, whose workers have this very environment, so that none is packed up for them.

    No port of a job server that a run starts is among them: TFX would take a step of the last run for another one.
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
