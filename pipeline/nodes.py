"""Names and order of the nodes, for code that must not import TFX."""

from typing import Protocol

from artifacts.summary import Node

EXAMPLE_GEN, STATISTICS_GEN, SCHEMA_GEN = "ExampleGen", "StatisticsGen", "SchemaGen"
CURATED_SCHEMA, EXAMPLE_VALIDATOR, ANOMALY_GATE = "CuratedSchema", "ExampleValidator", "AnomalyGate"
TRANSFORM, TUNER, WARM_START_MODEL, TRAINER = "Transform", "Tuner", "WarmStartModel", "Trainer"
SKEW_GUARD, LATEST_BLESSED_MODEL, EVALUATOR = "SkewGuard", "LatestBlessedModel", "Evaluator"
TFLITE_EXPORTER, PUSHER, VERTEX_ENDPOINT = "TfliteExporter", "Pusher", "VertexEndpoint"
# The node that replaces those after Transform and the Tuner in an ablation.
ABLATION = "Ablation"

# In the order of the DAG.
NODES = (
    *(EXAMPLE_GEN, STATISTICS_GEN, SCHEMA_GEN, CURATED_SCHEMA, EXAMPLE_VALIDATOR, ANOMALY_GATE),
    *(TRANSFORM, TUNER, WARM_START_MODEL, TRAINER, SKEW_GUARD, LATEST_BLESSED_MODEL, EVALUATOR),
    *(TFLITE_EXPORTER, PUSHER, VERTEX_ENDPOINT),
)

# Nodes that run on Beam, possibly on other machines.
BEAM_NODES = (EXAMPLE_GEN, STATISTICS_GEN, TRANSFORM, EVALUATOR)

# Nodes that mostly wait for another process. The local runner runs them in the background.
BACKGROUND_NODES = (SKEW_GUARD,)


class Listener(Protocol):
    """Follows the progress of a run."""

    def node_started(self, node_id: str) -> None:
        """Called before a node runs."""

    def node_progress(self, source: str, line: str) -> None:
        """Called with a progress line of a running node, or of a process that works for it."""

    def node_finished(self, node: Node) -> None:
        """Called when a node ran, was cached, was skipped or failed."""
