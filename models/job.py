"""A training job as plain values, so that another process can run it."""

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.training_settings import ModelConfig, Scalar

if TYPE_CHECKING:  # its import takes seconds in every worker
    from tfx.components.trainer.fn_args_utils import FnArgs

LOG_DIR = "AIP_TENSORBOARD_LOG_DIR"  # the name that Vertex AI uses


@dataclasses.dataclass(frozen=True)
class Job:
    """What to train, on which data, and where to write the results.

    Attributes:
        config: Problem, network and settings.
        hyperparameters: The hyperparameters to train with.
        train_files: Patterns of the training examples.
        validation_files: Patterns of the validation examples.
        transform_graph: Folder of the Transform graph that wrote them.
        model_dir: Folder for the SavedModel.
        run_dir: Folder for the logs, the history and the checkpoint of unfinished training.
        base_model: Folder of the SavedModel whose weights training starts with, if any.
    """

    config: ModelConfig
    hyperparameters: dict[str, Scalar]
    train_files: list[str]
    validation_files: list[str]
    transform_graph: str
    model_dir: str
    run_dir: str
    base_model: str | None = None

    @classmethod
    def from_fn_args(cls, fn_args: "FnArgs") -> "Job":
        """Reads the arguments that TFX passes to ``run_fn`` and ``tuner_fn``. The Tuner's have no ``model_dir``."""
        config = ModelConfig.from_config(fn_args.custom_config)
        tuned = (fn_args.hyperparameters or {}).get("values", {})
        return cls(
            config=config,
            hyperparameters={**config.network.hyperparameters, **tuned},
            train_files=list(fn_args.train_files),
            validation_files=list(fn_args.eval_files),
            transform_graph=fn_args.transform_output or fn_args.transform_graph_path,
            model_dir=fn_args.serving_model_dir or "",
            run_dir=fn_args.model_run_dir or "",
            base_model=fn_args.base_model,
        )

    @classmethod
    def read(cls, path: Path) -> "Job":
        """Reads a job that :meth:`write` wrote."""
        fields = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**fields, "config": ModelConfig.from_config(fields["config"])})

    def write(self, path: Path) -> None:
        """Writes the job as JSON."""
        path.write_text(json.dumps(self.to_fields()), encoding="utf-8")

    def to_fields(self) -> dict[str, Any]:
        """Returns the job as JSON types."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**fields, "config": self.config.to_config()}

    @property
    def log_dir(self) -> str:
        """Folder for TensorBoard's logs: inside ``run_dir``, unless the environment names another one."""
        return os.environ.get(LOG_DIR) or self.in_run_dir("tensorboard")

    def in_run_dir(self, name: str) -> str:
        """Path of a file in ``run_dir``, which may be remote."""
        return os.path.join(self.run_dir, name)
