"""Names of the nodes in the order they run, for command lines that must not import TFX."""

NODES = (
    "ExampleGen",
    "StatisticsGen",
    "SchemaGen",
    "CuratedSchema",
    "ExampleValidator",
    "AnomalyGate",
    "Transform",
    "Tuner",
    "Trainer",
    "LatestBlessedModel",
    "Evaluator",
    "Pusher",
)
