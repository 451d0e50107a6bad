import signal
import subprocess
import sys

import pytest
from absl.testing import flagsaver
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.utils.dependency_utils import make_beam_dependency_flags
from tfx_bsl.coders.batch_util import GetBatchElementsKwargs

from common.child_processes import child_environment
from common.project import ROOT
from pipeline.beam.arguments import MANY_ROWS, beam_args, local_args, own_beam_args
from pipeline.config.beam import Beam
from pipeline.config.loading import load_config

BEAM = "apache_beam.runners.portability.fn_api_runner"


@pytest.mark.parametrize(
    ("beam", "mode", "workers", "package"),
    [
        (Beam(), "in_memory", 1, BEAM),
        (Beam(mode="in_memory", workers=2), "in_memory", 1, BEAM),
        (Beam(mode="multi_processing", workers=2), "multi_processing", 2, "pipeline.beam.worker_processes"),
        (Beam(mode="multi_threading"), "multi_threading", 0, BEAM),
    ],
)
def test_beam_understands_its_arguments(beam: Beam, mode: str, workers: int, package: str) -> None:
    options = PipelineOptions(local_args(beam))
    assert options.view_as(StandardOptions).runner == f"{package}.FnApiRunner"
    assert options.view_as(DirectOptions).direct_running_mode == mode
    assert options.view_as(DirectOptions).direct_num_workers == workers


@pytest.mark.parametrize(
    ("node", "rows", "cores", "mode", "found"),
    [
        ("Transform", MANY_ROWS, 2, "auto", "multi_processing"),
        ("Transform", MANY_ROWS - 1, 2, "auto", "in_memory"),
        ("Transform", MANY_ROWS, 1, "auto", "in_memory"),
        ("Transform", MANY_ROWS, 2, "in_memory", "in_memory"),
        ("StatisticsGen", MANY_ROWS, 2, "auto", "in_memory"),
    ],
)
def test_transform_uses_several_processes_for_many_rows(
    monkeypatch: pytest.MonkeyPatch, node: str, rows: int, cores: int, mode: str, found: str
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    config = load_config(ROOT / "configs/taxi.yaml", {"beam.mode": mode}, output="/out")
    options = PipelineOptions([*beam_args(config), *own_beam_args(config, node, rows)]).view_as(DirectOptions)
    assert options.direct_running_mode == found
    assert options.direct_num_workers == (0 if found == "multi_processing" else 1)


def test_single_worker_is_not_a_separate_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    config = load_config(ROOT / "configs/taxi.yaml", {"beam.workers": "1"}, output="/out")
    assert own_beam_args(config, "Transform", MANY_ROWS) == []


@pytest.mark.slow
def test_worker_processes_end_with_a_killed_run() -> None:
    """The worker kills its parent. Then it would wait, and keep its standard error open."""
    code = (
        "import os, signal, time, apache_beam as beam;"
        "from apache_beam.options.pipeline_options import PipelineOptions;"
        "from pipeline.beam.arguments import local_args; from pipeline.config.beam import Beam;"
        "options = PipelineOptions(local_args(Beam(mode='multi_processing', workers=1)));"
        "wait = lambda _: (os.kill(os.getppid(), signal.SIGKILL), time.sleep(60));"
        "pipeline = beam.Pipeline(options=options); pipeline | beam.Create([1]) | beam.Map(wait); pipeline.run()"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, env=child_environment(), capture_output=True, check=False, timeout=45)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def test_tfx_does_not_package_itself_for_local_runners() -> None:
    arguments = local_args(Beam())
    assert make_beam_dependency_flags(arguments) == arguments


class AnExecutor(BaseBeamExecutor):
    def Do(self, *_: object) -> None: ...


def test_batches_do_not_depend_on_elapsed_time() -> None:
    arguments = beam_args(load_config(ROOT / "configs/taxi.yaml", output="/out"))
    with flagsaver.flagsaver(tfxio_use_byte_size_batching=False):
        AnExecutor(AnExecutor.Context(beam_pipeline_args=arguments))
        chosen = GetBatchElementsKwargs(batch_size=None)
    assert chosen["min_batch_size"] == chosen["max_batch_size"]
