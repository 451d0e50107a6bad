"""TensorFlow Serving's metrics, in Prometheus' text format and under TensorFlow Serving's own names.

The names keep their colons, which the usual client library would turn into something a dashboard does not look for.
"""

import bisect
import re
import threading
from collections.abc import Iterable, Sequence
from typing import TypeAlias

Labels: TypeAlias = tuple[str, ...]
PREFIX = ":tensorflow:serving:"
BOUNDS = tuple(10 * 1.8**power for power in range(33))  # microseconds
QUEUE_BOUNDS = tuple(100 * 1.2**power for power in range(52))


class Counter:
    """A number that grows, by labels."""

    def __init__(self, name: str, labels: Sequence[str]) -> None:
        self.name, self.labels = name, tuple(labels)
        self._values: dict[Labels, int] = {}
        self._lock = threading.Lock()

    def add(self, labels: Labels, amount: int = 1) -> None:
        """Counts."""
        with self._lock:
            self._values[labels] = self._values.get(labels, 0) + amount

    def lines(self) -> list[str]:
        """In Prometheus' format."""
        with self._lock:
            values = sorted(self._values.items())
        return [
            f"# TYPE {self.name} counter",
            *(f"{self.name}{_braces(self.labels, key)} {value}" for key, value in values),
        ]

    @property
    def total(self) -> int:
        """Over all labels."""
        with self._lock:
            return sum(self._values.values())


class Histogram:
    """Durations in microseconds, by labels."""

    def __init__(self, name: str, labels: Sequence[str], bounds: Sequence[float] = BOUNDS) -> None:
        self.name, self.labels, self.bounds = name, tuple(labels), tuple(bounds)
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}
        self._lock = threading.Lock()

    def observe(self, labels: Labels, seconds: float) -> None:
        """Counts one duration."""
        microseconds = seconds * 1e6
        with self._lock:
            counts = self._counts.setdefault(labels, [0] * (len(self.bounds) + 1))
            counts[bisect.bisect_right(self.bounds, microseconds)] += 1
            self._sums[labels] = self._sums.get(labels, 0.0) + microseconds

    def lines(self) -> list[str]:
        """In Prometheus' format."""
        with self._lock:
            known = sorted((labels, list(counts), self._sums[labels]) for labels, counts in self._counts.items())
        found = [f"# TYPE {self.name} histogram"]
        for labels, counts, total in known:
            reached = 0
            for bound, count in zip([*(f"{bound:g}" for bound in self.bounds), "+Inf"], counts, strict=True):
                reached += count
                found.append(f"{self.name}_bucket{_braces((*self.labels, 'le'), (*labels, bound))} {reached}")
            found.append(f"{self.name}_sum{_braces(self.labels, labels)} {total:.0f}")
            found.append(f"{self.name}_count{_braces(self.labels, labels)} {reached}")
        return found


class Metrics:
    """All that the server counts.

    Attributes:
        requests: By model and status.
        request_latency: By model, API and entry point (``GRPC`` or ``REST``).
        runtime_latency: Of the model alone; by model, API and runtime.
        examples: By model.
        warmup_latency: By the version's folder and status.
        queuing_latency: How long requests waited to be merged; by thread pool, a name that stays empty.
        load_attempts: By the version's folder, and ``success`` or ``fail``.
        logged: Requests that the request log took, or lost; by model and which of the two.
    """

    def __init__(self) -> None:
        self.requests = Counter(f"{PREFIX}request_count", ["model_name", "status"])
        self.request_latency = Histogram(f"{PREFIX}request_latency", ["model_name", "API", "entrypoint"])
        self.runtime_latency = Histogram(f"{PREFIX}runtime_latency", ["model_name", "API", "runtime"])
        self.examples = Counter(f"{PREFIX}request_example_count_total", ["model_name"])
        self.warmup_latency = Histogram(f"{PREFIX}model_warmup_latency", ["model_path", "status"])
        self.queuing_latency = Histogram(
            f"{PREFIX}batching_session:queuing_latency", ["thread_pool_name"], QUEUE_BOUNDS
        )
        self.load_attempts = Counter(":tensorflow:cc:saved_model:load_attempt_count", ["model_path", "status"])
        self.logged = Counter(f"{PREFIX}request_log_count", ["model_name", "status"])
        self._counters = (self.requests, self.examples, self.load_attempts, self.logged)
        self._histograms = (self.request_latency, self.runtime_latency, self.warmup_latency, self.queuing_latency)

    def text(self) -> str:
        """The page that Prometheus reads."""
        lines = [line for metric in (*self._counters, *self._histograms) for line in metric.lines()]
        return "\n".join(lines) + "\n"

    def values(self, names: Iterable[str]) -> dict[str, int]:
        """What counters have counted, over all labels; 0 for a metric that is not a counter, or unknown.

        Args:
            names: As on Prometheus' page, or with the slashes of TensorFlow's registry.
        """
        totals = {counter.name: counter.total for counter in self._counters}
        return {name: totals.get(re.sub(r"\W", ":", name), 0) for name in names}


def _braces(names: Sequence[str], values: Sequence[str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return f"{{{pairs}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
