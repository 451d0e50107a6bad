"""The nodes by name and how each one went, for code that must not import TFX."""

import dataclasses
from collections.abc import Sequence
from typing import Literal, Protocol

# In the order of the DAG.
NODES = (
    "ExampleGen",
    "StatisticsGen",
    "SchemaGen",
    "CuratedSchema",
    "ExampleValidator",
    "AnomalyGate",
    "Transform",
    "Tuner",
    "WarmStartModel",
    "Trainer",
    "SkewGuard",
    "LatestBlessedModel",
    "Evaluator",
    "TfliteExporter",
    "Pusher",
    "VertexEndpoint",
)

# Those that run on Beam, which may be another machine's.
BEAM_NODES = ("ExampleGen", "StatisticsGen", "Transform", "Evaluator")

# Those that mostly wait for another process; the local runner goes on meanwhile with what does not need them.
BESIDE = ("SkewGuard",)

State = Literal["ran", "cached", "skipped", "failed"]


@dataclasses.dataclass(frozen=True)
class Node:
    """How one node went.

    Attributes:
        id: The node.
        state: ``ran``, ``cached`` (answered from ML Metadata), ``skipped`` (not asked for, or behind a failure) or
            ``failed``.
        seconds: Wall time.
        upstream: The nodes that have to go before it.
    """

    id: str
    state: State
    seconds: float = 0.0
    upstream: Sequence[str] = ()


class Listener(Protocol):
    """Follows a run."""

    def node_started(self, node_id: str) -> None:
        """A node is about to run."""

    def node_said(self, source: str, line: str) -> None:
        """A node under way, or a process that works for it, told how far it is."""

    def node_finished(self, node: Node) -> None:
        """A node ran, was cached, skipped, or failed."""
