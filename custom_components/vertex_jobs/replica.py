"""Entry point of the replicas of a job: ``python -m custom_components.vertex_jobs.replica FOLDER ARGUMENTS``.

The arguments are those of TFX's ``tfx.scripts.run_executor``, which does the work. If it fails, the reason is written
to the folder in one line, for the step that waits for the job.
"""

import os
import sys
import traceback

USAGE = 2


def main() -> int:
    """Runs an executor as one of several replicas."""
    if len(sys.argv) < USAGE:
        sys.stderr.write(f"usage: {__doc__}")
        return USAGE
    # Imported after the usage was checked, since these imports take seconds.
    from tfx.scripts import run_executor  # noqa: PLC0415

    from custom_components.vertex_jobs.failures import write_failure  # noqa: PLC0415
    from models.distributed.task import SINGLE_PROCESS, this_task  # noqa: PLC0415

    folder, task = sys.argv[1], SINGLE_PROCESS
    try:
        task = this_task()
        run_executor.main(run_executor.parse_flags([sys.argv[0], *sys.argv[2:]]))
    except Exception as error:
        traceback.print_exc()
        write_failure(folder, task, error)
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # TensorFlow's cluster server cannot be shut down
