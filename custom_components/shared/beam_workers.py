"""The number of Beam's workers."""

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions


def has_several_workers(options: PipelineOptions) -> bool:
    """Whether Beam has more than one worker. A single worker reads files in their order."""
    runner = options.view_as(StandardOptions).runner or ""
    return "FnApiRunner" not in runner or options.view_as(DirectOptions).direct_running_mode != "in_memory"
