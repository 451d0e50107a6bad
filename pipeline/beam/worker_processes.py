"""Beam's local runner, whose worker processes end with this process."""

import shlex
import sys
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.runners.portability import fn_api_runner
from apache_beam.runners.worker import sdk_worker_main

from common.child_processes import ending_with_this_process

WORKER = [sys.executable, "-m", sdk_worker_main.__name__]


class FnApiRunner(fn_api_runner.FnApiRunner):
    """Beam's runner with another command for worker processes.

    Beam's own workers need more than a minute to notice that the runner was killed.
    """

    def run_via_runner_api(self, pipeline_proto: Any, options: PipelineOptions) -> Any:
        """Runs a pipeline whose environments have been set."""
        for environment in pipeline_proto.components.environments.values():
            if environment.urn == python_urns.SUBPROCESS_SDK:
                # Beam passes the command to a shell. It is replaced, since it would not end with this process.
                environment.payload = f"exec {shlex.join(ending_with_this_process(WORKER))}".encode()
        return super().run_via_runner_api(pipeline_proto, options)
