import pytest
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from tfx.utils.dependency_utils import make_beam_dependency_flags
from tfx_bsl.coders.batch_util import GetBatchElementsKwargs

from pipeline.beam import batch_by_size, beam_args
from pipeline.config import Beam


@pytest.mark.parametrize(
    "beam", [Beam(), Beam(mode="multi_processing", workers=2), Beam(mode="multi_threading", workers=0)]
)
def test_beam_understands_its_arguments(beam: Beam) -> None:
    options = PipelineOptions(beam_args(beam))
    assert options.view_as(StandardOptions).runner == "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
    assert options.view_as(DirectOptions).direct_running_mode == beam.mode
    assert options.view_as(DirectOptions).direct_num_workers == beam.workers


def test_tfx_does_not_pack_itself_up_for_a_runner_on_this_machine() -> None:
    arguments = beam_args(Beam())
    assert make_beam_dependency_flags(arguments) == arguments


def test_batches_do_not_depend_on_the_clock() -> None:
    batch_by_size()
    chosen = GetBatchElementsKwargs(batch_size=None)
    assert chosen["min_batch_size"] == chosen["max_batch_size"]
