import pytest
from absl.testing import flagsaver
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.utils.dependency_utils import make_beam_dependency_flags
from tfx_bsl.coders.batch_util import GetBatchElementsKwargs

from pipeline.beam import beam_args, local_args
from pipeline.config import Beam
from pipeline.config_loading import ROOT, load_config


@pytest.mark.parametrize(
    "beam", [Beam(), Beam(mode="multi_processing", workers=2), Beam(mode="multi_threading", workers=0)]
)
def test_beam_understands_its_arguments(beam: Beam) -> None:
    options = PipelineOptions(local_args(beam))
    assert options.view_as(StandardOptions).runner == "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
    assert options.view_as(DirectOptions).direct_running_mode == beam.mode
    assert options.view_as(DirectOptions).direct_num_workers == beam.workers


def test_tfx_does_not_pack_itself_up_for_a_runner_on_this_machine() -> None:
    arguments = local_args(Beam())
    assert make_beam_dependency_flags(arguments) == arguments


class AnExecutor(BaseBeamExecutor):
    def Do(self, *_: object) -> None: ...


def test_batches_do_not_depend_on_the_clock() -> None:
    arguments = beam_args(load_config(ROOT / "configs/taxi.yaml", output="/out"))
    with flagsaver.flagsaver(tfxio_use_byte_size_batching=False):
        AnExecutor(AnExecutor.Context(beam_pipeline_args=arguments))
        chosen = GetBatchElementsKwargs(batch_size=None)
    assert chosen["min_batch_size"] == chosen["max_batch_size"]
