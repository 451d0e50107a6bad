"""local_runner.py with Beam workers in separate processes, started by the command in BEAM_WORKER."""

import os
import runpy
from pathlib import Path

from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipeline.beam import arguments as beam

ROOT = Path(__file__).resolve().parents[2]


class RemoteWorkers(FnApiRunner):
    """Beam's local runner with workers that share no memory with it."""

    def __init__(self) -> None:
        super().__init__(default_environment=SubprocessSDKEnvironment(os.environ["BEAM_WORKER"]))


def main() -> None:
    """Runs the command line with another runner."""
    assert callable(beam.local_args)
    beam.local_args = lambda *_: ["--runner=remote_workers.RemoteWorkers", "--sdk_container_image=none"]
    runpy.run_path(str(ROOT / "local_runner.py"), run_name="__main__")


if __name__ == "__main__":
    main()
