"""Renamed settings. The error for an old name gives the new one."""

# Old dotted key -> new dotted key.
RENAMED = {
    "dataflow.most_workers": "dataflow.max_workers",
    "skew_guard.most_examples": "skew_guard.max_examples",
    "skew_guard.most_megabytes": "skew_guard.max_megabytes",
    "skew_guard.most_seconds": "skew_guard.max_seconds",
    "tflite.most_difference": "tflite.max_difference",
    "tflite.most_examples": "tflite.max_examples",
    "tflite.most_quality_loss": "tflite.max_quality_loss",
    "vertex.endpoint.fewest": "vertex.endpoint.min_replicas",
    "vertex.endpoint.most": "vertex.endpoint.max_replicas",
    "vertex.schedule.most_at_once": "vertex.schedule.max_concurrent_runs",
}
