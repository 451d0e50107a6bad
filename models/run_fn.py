"""``run_fn``: the entry point that TFX's Trainer calls."""

from typing import TYPE_CHECKING

import tensorflow_transform as tft

from models.distributed.supervisor import run_cluster
from models.distributed.task import this_task
from models.job import Job
from models.training.label_check import check_label
from models.training.trainer import train

if TYPE_CHECKING:
    from tfx.components.trainer.fn_args_utils import FnArgs


def run_fn(fn_args: "FnArgs") -> None:
    """Trains the network and exports it with its signatures.

    If the settings ask for several workers, and ``TF_CONFIG`` does not already make this process one of them, they are
    started here. See :mod:`models.distributed.supervisor`.

    Args:
        fn_args: From TFX: ``train_files`` and ``eval_files`` (transformed examples), ``transform_output``,
            ``serving_model_dir`` and ``model_run_dir`` to write to, ``custom_config`` (a
            :class:`models.training_settings.ModelConfig`), ``hyperparameters`` if there is a Tuner, and
            ``base_model``.

    Raises:
        ValueError: The label of the training split is constant (see :func:`models.training.label_check.check_label`),
            or the strategy is unavailable.
        WorkerError: A worker failed, or workers are killed repeatedly without progress.
    """
    job, task = Job.from_fn_args(fn_args), this_task()
    training = job.config.training
    if not task.peers and (training.workers > 1 or training.strategy == "parameter_server"):
        check_label(job.train_files, tft.TFTransformOutput(job.transform_graph), job.config.problem)
        run_cluster(job)
    else:
        train(job, task)
