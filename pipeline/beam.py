"""Arguments for Beam."""

from pipeline.config import Beam


def beam_args(settings: Beam) -> list[str]:
    """Arguments for Beam's local runner.

    The runner is named explicitly: Beam's "DirectRunner" first tries to download another one.
    """
    return [
        "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
        f"--direct_running_mode={settings.mode}",
        f"--direct_num_workers={settings.workers}",
    ]
