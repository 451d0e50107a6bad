"""Measures the time of each node that TFX's launcher runs in this process."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

from tfx.orchestration.portable import launcher

# Beam's default runner first tries to download another one. TFX packages itself for remote workers if it gets arguments
# without an image. The template passes no arguments, so it does not pay for that.
BEAM_ARGS = ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner", "--sdk_container_image=none"]


@contextlib.contextmanager
def timed_nodes() -> Iterator[dict[str, float]]:
    """Yields a mapping that fills with the seconds of each node: its driver, executor and ML Metadata."""
    seconds: dict[str, float] = {}
    launch = launcher.Launcher.launch

    def timed(self: launcher.Launcher) -> Any:
        start = time.perf_counter()
        result = launch(self)
        seconds[self._pipeline_node.node_info.id] = time.perf_counter() - start
        return result

    with mock.patch.object(launcher.Launcher, "launch", timed):
        yield seconds
