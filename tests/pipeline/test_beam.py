import pytest
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions

from pipeline.beam import beam_args
from pipeline.config import Beam


@pytest.mark.parametrize(
    "beam", [Beam(), Beam(mode="multi_processing", workers=2), Beam(mode="multi_threading", workers=0)]
)
def test_beam_understands_its_arguments(beam: Beam) -> None:
    options = PipelineOptions(beam_args(beam))
    assert options.view_as(StandardOptions).runner == "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
    assert options.view_as(DirectOptions).direct_running_mode == beam.mode
    assert options.view_as(DirectOptions).direct_num_workers == beam.workers
