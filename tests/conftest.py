"""What tests share: a small table, settings that are quick to run, and a way to run them as a user does."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import forked
import pytest
import yaml
from forked import Forked

from common.deferred_imports import defer_imports

PLUGINS = ("database_servers", "pushed_run", "server_process", "vertex_server")
ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "data/taxi/taxi.csv"
ROWS = 1500
WAIT_SECONDS = 120

# A policy that a model trained for a moment on the small table meets, and an untrained one does not.
POLICY = [
    {"metric": "auc", "min": 0.6, "max": 0.9999},
    {"metric": "auc", "slice": {"payment_type": "Credit Card"}, "max": 1.0},
    {"metric": "auc", "min_change": -0.01},
    {"metric": "accuracy", "better_than_trivial": 0.01},
    {"metric": "auc", "better_than_trivial": 0.1},
]
# One feature of each kind.
FEATURES = {
    "dense": {"fare": {"log": True}, "trip_miles": {"scale": "min_max"}},
    "bucketed": {"fare": {"buckets": 5}},
    "integer": {"trip_start_day": {"min": 1, "max": 7}},
    "vocabulary": {"payment_type": {}},
    "hashed": {"company": {"buckets": 10}},
    "cyclical": {"trip_start_hour": {"period": 24}},
}
QUICK = {
    "features": FEATURES,
    "training": {"steps": 60, "batch_size": 64, "evaluate_every": 20},
    "tflite.enabled": False,  # takes seconds; its own tests turn it on
    "tuning": {"trials": 2, "steps": 20, "search": {"dropout": {"values": [0.0, 0.1]}}},
    "network.hyperparameters": {"hidden_units": 16, "learning_rate": 0.01},
    "evaluation": {
        "metrics": ["auc", "accuracy", "example_count"],
        "slices": [["payment_type"], ["trip_start_day"]],
        "thresholds": POLICY,
    },
}


@dataclasses.dataclass(frozen=True)
class Finished:
    """A finished command."""

    code: int
    stdout: str
    stderr: str

    @property
    def summary(self) -> dict[str, Any]:
        """Standard output as JSON."""
        summary: dict[str, Any] = json.loads(self.stdout)
        return summary

    @property
    def states(self) -> dict[str, str]:
        """State by node."""
        return {node["id"]: node["state"] for node in self.summary["nodes"]}


def arguments(output: Path, *options: str, **settings: Any) -> list[str]:
    """The command line of a quick run; ``settings`` override dotted keys written with double underscores."""
    overrides = {**QUICK, **{key.replace("__", "."): value for key, value in settings.items()}}
    pairs = [f"--set={key}={yaml.safe_dump(value, default_flow_style=True)}" for key, value in overrides.items()]
    return [sys.executable, str(ROOT / "local_runner.py"), f"--output={output}", *pairs, *options]


def run(output: Path, *options: str, **settings: Any) -> Finished:
    """Runs the pipeline to the end."""
    return run_in_fork(arguments(output, *options, **settings))


def run_in_fork(command: Sequence[str]) -> Finished:
    """Runs a command to its end, in a process that does not have to import TFX."""
    result = forked.run(command)
    return Finished(result.returncode, result.stdout, result.stderr)


def run_in_new_process(command: Sequence[str]) -> Finished:
    """Runs a command to its end as a user does, imports included."""
    environment = {**os.environ, "KERAS_BACKEND": "torch"}  # set in the user's shell, and not installed
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    return Finished(result.returncode, result.stdout, result.stderr)


def wait_for(output: Path, text: str, process: "subprocess.Popen[bytes] | Forked") -> None:
    """Waits until the newest run's log holds ``text``."""
    known = {path.parent.name for path in output.glob("runs/*/summary.json")}

    def said() -> bool:
        logs = [log for log in output.glob("runs/2*/log") if log.parent.name not in known]
        last = max(logs, key=lambda log: log.parent.name, default=None)
        return last is not None and text in last.read_text(errors="replace")

    wait_until(said, process, f"'{text}' in the log")


def wait_until(happened: Callable[[], bool], process: "subprocess.Popen[bytes] | Forked", what: str) -> None:
    """Waits for something that a running command does."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if happened():
            return
        time.sleep(0.01)
    raise AssertionError(f"there never was {what}")


def newest(output: Path, kind: str) -> Path:
    """The folder of the last artifact of a kind, such as ``Trainer/model``."""
    return max((output / "artifacts" / kind).iterdir(), key=lambda path: int(path.name))


def pytest_configure(config: pytest.Config) -> None:
    """Lets what the tests start hear Ctrl-C, which a job in the background of a script ignores."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The process that hands the tests out to others runs none, so it does without their fixtures and TensorFlow.
    if config.getoption("dist", "no") == "no":
        with defer_imports():
            for name in PLUGINS:
                config.pluginmanager.import_plugin(name)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Imports TFX and TensorFlow as the project's commands do."""
    with defer_imports():
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts with the files that take longest, so that no worker ends up with one of them alone."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)


@pytest.fixture
def signal_handlers() -> Iterator[list[Any]]:
    """The handlers of SIGINT and SIGTERM, which are restored after the test.

    They are ignored after an interrupted block, whose process usually ends.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield before
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the first rows of the sample."""
    folder = tmp_path_factory.mktemp("table")
    with SAMPLE.open(encoding="utf-8") as sample:
        (folder / "taxi.csv").write_text("".join(next(sample) for _ in range(ROWS + 1)), encoding="utf-8")
    return folder
