"""One training as plain values, so that it can be handed to another process."""

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.settings import ModelConfig, Scalar

if TYPE_CHECKING:  # takes seconds, which every worker would pay
    from tfx.components.trainer.fn_args_utils import FnArgs

LOG_DIR = "AIP_TENSORBOARD_LOG_DIR"  # as Vertex AI names it


@dataclasses.dataclass(frozen=True)
class Job:
    """What is trained, on what, and where to.

    Attributes:
        config: A :class:`models.settings.ModelConfig` as plain JSON types.
        hyperparameters: Those to train with.
        train_files: Patterns of the training examples.
        validation_files: Patterns of the validation examples.
        transform_graph: Folder of the Transform graph that wrote them.
        model_dir: Where the SavedModel is written.
        run_dir: Where the logs, the history and the checkpoint of a training under way are written.
        base_model: The SavedModel whose weights it begins with, if any.
    """

    config: dict[str, Any]
    hyperparameters: dict[str, Scalar]
    train_files: list[str]
    validation_files: list[str]
    transform_graph: str
    model_dir: str
    run_dir: str
    base_model: str | None = None

    @classmethod
    def from_fn_args(cls, fn_args: "FnArgs") -> "Job":
        """Takes what TFX hands to ``run_fn``, or to ``tuner_fn``, which has no place for a model."""
        config = ModelConfig.from_config(fn_args.custom_config)
        tuned = (fn_args.hyperparameters or {}).get("values", {})
        return cls(
            config=config.to_config(),
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
        """Reads what :meth:`write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def write(self, path: Path) -> None:
        """Writes the job as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")

    @property
    def log_dir(self) -> str:
        """Where TensorBoard's logs go: into the run's folder, unless the environment names another one."""
        return os.environ.get(LOG_DIR) or self.in_run_dir("tensorboard")

    def in_run_dir(self, name: str) -> str:
        """Path of a file in the run's folder, which may be remote."""
        return os.path.join(self.run_dir, name)
