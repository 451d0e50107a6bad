"""Metrics with TensorFlow Serving's names, in Prometheus' text format.

The names start with a colon. Prometheus' Python client would replace it, and dashboards for TensorFlow Serving would
not find the metrics.
"""

import bisect
import re
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from serving.errors import invalid_argument
from serving.flags import Flags
from serving.text_protos import MonitoringConfig, read_text_proto

Labels: TypeAlias = tuple[str, ...]
DEFAULT_PATH = "/monitoring/prometheus/metrics"
PREFIX = ":tensorflow:serving:"
BOUNDS = tuple(10 * 1.8**power for power in range(33))  # microseconds
QUEUE_BOUNDS = tuple(100 * 1.2**power for power in range(52))


class Counter:
    """A counter with labels."""

    def __init__(self, name: str, labels: Sequence[str]) -> None:
        self.name, self.labels = name, tuple(labels)
        self._values: dict[Labels, int] = {}
        self._lock = threading.Lock()

    def add(self, labels: Labels, amount: int = 1) -> None:
        """Adds to the counter."""
        with self._lock:
            self._values[labels] = self._values.get(labels, 0) + amount

    def lines(self) -> list[str]:
        """Returns the counter in Prometheus' text format."""
        with self._lock:
            values = sorted(self._values.items())
        return [
            f"# TYPE {self.name} counter",
            *(f"{self.name}{_label_text(self.labels, key)} {value}" for key, value in values),
        ]

    @property
    def total(self) -> int:
        """The sum over all labels."""
        with self._lock:
            return sum(self._values.values())


class Histogram:
    """A histogram of durations in microseconds, with labels."""

    def __init__(self, name: str, labels: Sequence[str], bounds: Sequence[float] = BOUNDS) -> None:
        self.name, self.labels, self.bounds = name, tuple(labels), tuple(bounds)
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}
        self._lock = threading.Lock()

    def observe(self, labels: Labels, seconds: float) -> None:
        """Adds a duration."""
        microseconds = seconds * 1e6
        with self._lock:
            counts = self._counts.setdefault(labels, [0] * (len(self.bounds) + 1))
            counts[bisect.bisect_right(self.bounds, microseconds)] += 1
            self._sums[labels] = self._sums.get(labels, 0.0) + microseconds

    def lines(self) -> list[str]:
        """Returns the histogram in Prometheus' text format."""
        with self._lock:
            series = sorted((labels, list(counts), self._sums[labels]) for labels, counts in self._counts.items())
        lines = [f"# TYPE {self.name} histogram"]
        for labels, counts, total in series:
            cumulative = 0
            for bound, count in zip([*(f"{bound:g}" for bound in self.bounds), "+Inf"], counts, strict=True):
                cumulative += count
                lines.append(f"{self.name}_bucket{_label_text((*self.labels, 'le'), (*labels, bound))} {cumulative}")
            lines.append(f"{self.name}_sum{_label_text(self.labels, labels)} {total:.0f}")
            lines.append(f"{self.name}_count{_label_text(self.labels, labels)} {cumulative}")
        return lines


class Metrics:
    """All metrics of the server.

    Attributes:
        requests: Requests, by model and status.
        request_latency: Duration of requests, by model, API and entry point (``GRPC`` or ``REST``).
        signature_requests: Requests, by model, signature and status. Our own metric.
        signature_latency: Duration of requests, by model and signature. Our own metric.
        runtime_latency: Duration of running the model, by model, API and runtime.
        examples: Examples in requests, by model.
        warmup_latency: Duration of warming up, by folder of the version and status.
        queuing_latency: Time that requests spent in the batching queue, by thread pool (always an empty name).
        load_attempts: Attempts to load a version, by its folder and status (``success`` or ``fail``).
        logged: Requests sampled for the request log, by model and status (``written`` or ``lost``).
    """

    def __init__(self) -> None:
        self.requests = Counter(f"{PREFIX}request_count", ["model_name", "status"])
        self.request_latency = Histogram(f"{PREFIX}request_latency", ["model_name", "API", "entrypoint"])
        self.runtime_latency = Histogram(f"{PREFIX}runtime_latency", ["model_name", "API", "runtime"])
        self.signature_requests = Counter(
            f"{PREFIX}signature_request_count", ["model_name", "signature_name", "status"]
        )
        self.signature_latency = Histogram(f"{PREFIX}signature_request_latency", ["model_name", "signature_name"])
        self.examples = Counter(f"{PREFIX}request_example_count_total", ["model"])
        self.warmup_latency = Histogram(f"{PREFIX}model_warmup_latency", ["model_path", "status"])
        self.queuing_latency = Histogram(
            f"{PREFIX}batching_session:queuing_latency", ["thread_pool_name"], QUEUE_BOUNDS
        )
        self.load_attempts = Counter(":tensorflow:cc:saved_model:load_attempt_count", ["model_path", "status"])
        self.logged = Counter(f"{PREFIX}request_log_count", ["model_name", "status"])
        self._counters = (
            self.requests,
            self.signature_requests,
            self.examples,
            self.load_attempts,
            self.logged,
        )
        self._histograms = (
            self.request_latency,
            self.signature_latency,
            self.runtime_latency,
            self.warmup_latency,
            self.queuing_latency,
        )

    def text(self) -> str:
        """Returns all metrics in Prometheus' text format."""
        lines = [line for metric in (*self._counters, *self._histograms) for line in metric.lines()]
        return "\n".join(lines) + "\n"

    def values(self, names: Iterable[str]) -> dict[str, int]:
        """Returns the totals of counters by name, and 0 for names of other or unknown metrics.

        Args:
            names: Names as in Prometheus' format, or with slashes as in TensorFlow's monitoring registry.
        """
        totals = {counter.name: counter.total for counter in self._counters}
        return {name: totals.get(re.sub(r"\W", ":", name), 0) for name in names}


def metrics_path(flags: Flags) -> str | None:
    """Returns the path of the metrics on the REST port, or ``None`` if they are off.

    Raises:
        ServingError: The monitoring config file cannot be read, or its path does not start with a slash.
    """
    if not flags.monitoring_config_file:
        return None
    file = Path(flags.monitoring_config_file)
    config = read_text_proto(file, MonitoringConfig()).prometheus_config
    path = str(config.path or DEFAULT_PATH)
    if not path.startswith("/"):
        raise invalid_argument(f"{file}: found the path '{path}'; expected one that starts with /")
    return path if config.enable else None


def _label_text(names: Sequence[str], values: Sequence[str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return f"{{{pairs}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
