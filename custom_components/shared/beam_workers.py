"""How many workers Beam has."""

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions


def has_several_workers(options: PipelineOptions) -> bool:
    """Whether files are to be spread over workers; a single one reads them in their order."""
    runner = options.view_as(StandardOptions).runner or ""
    return "FnApiRunner" not in runner or options.view_as(DirectOptions).direct_running_mode != "in_memory"
