import pytest
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
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


def test_batches_do_not_depend_on_the_clock() -> None:
    batch_by_size()
    chosen = GetBatchElementsKwargs(batch_size=None)
    assert chosen["min_batch_size"] == chosen["max_batch_size"]
