"""Arguments for Beam, and how rows are batched in it."""

from absl import flags
from tfx_bsl.coders import batch_util

from pipeline.config import Beam


def beam_args(settings: Beam) -> list[str]:
    """Arguments for Beam's local runner.

    The runner is named explicitly: Beam's "DirectRunner" first tries to download another one. So is an image, which
    it does not use: without one TFX packs itself up for workers elsewhere, in each node that uses Beam, and leaves
    52 MB in the temporary folder each time.
    """
    return [
        "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
        f"--direct_running_mode={settings.mode}",
        f"--direct_num_workers={settings.workers}",
        "--sdk_container_image=none",
    ]


def batch_by_size() -> None:
    """Makes TFX's Beam steps batch rows by their bytes, up to 8,192 of them.

    Without it Beam chooses by the clock, up to 1,000: sums in floating point, and with them the Transform graph, then
    differ from run to run by the last bit.
    """
    assert batch_util.__name__  # defines the flag
    flags.FLAGS(["onegraph", "--tfxio_use_byte_size_batching"])
