"""Inputs, outputs and properties of a Trainer or Tuner on Vertex AI, for the small table."""

import json
import shutil
from pathlib import Path
from typing import Any

from small_table import small_table
from tfx.types import standard_artifacts

from models.training_settings import ModelConfig

IMAGE = "europe-docker.pkg.dev/one-project/images/steps:1"
Artifacts = dict[str, list[Any]]
TRAINER_OUTPUTS = {"model": standard_artifacts.Model, "model_run": standard_artifacts.ModelRun}
TUNER_OUTPUTS = {
    "best_hyperparameters": standard_artifacts.HyperParameters,
    "tuner_results": standard_artifacts.TunerResults,
}


def inputs(folder: Path, graph: str = "") -> Artifacts:
    """Artifacts of Transform, without files."""
    examples, transform = standard_artifacts.Examples(), standard_artifacts.TransformGraph()
    examples.uri, examples.split_names = str(folder / "examples"), json.dumps(["train", "validation"])
    transform.uri = graph
    return {"examples": [examples], "transform_graph": [transform]}


def filled(folder: Path) -> Artifacts:
    """Artifacts of Transform with the small table in their folders."""
    table = small_table()
    for split in ("train", "validation"):
        (folder / "examples" / f"Split-{split}").mkdir(parents=True)
        for path in table.folder.glob("examples*.gz"):
            shutil.copy(path, folder / "examples" / f"Split-{split}")
    return inputs(folder, table.graph_dir)


def outputs(folder: Path, kinds: dict[str, Any]) -> Artifacts:
    """Output artifacts whose folders do not exist, as in a bucket."""
    made = {name: kind() for name, kind in kinds.items()}
    for name, artifact in made.items():
        artifact.uri = str(folder / name)
    return {name: [artifact] for name, artifact in made.items()}


def pool(count: int, image: str = IMAGE, **environment: str) -> dict[str, Any]:
    """A worker pool without its command."""
    container: dict[str, Any] = {"imageUri": image}
    if environment:
        container["env"] = [{"name": name, "value": value} for name, value in environment.items()]
    return {"machineSpec": {"machineType": "n2-standard-4"}, "replicaCount": count, "containerSpec": container}


def properties(config: ModelConfig, function: str, *pools: dict[str, Any]) -> dict[str, Any]:
    """Execution properties. ``function`` is ``run_fn`` or ``tuner_fn``."""
    job = {"displayName": "tiny", "jobSpec": {"workerPoolSpecs": list(pools)}} if pools else None
    vertex = {"project": "one-project", "region": "europe-west4", "image": IMAGE, "job": job}
    return {
        "train_args": json.dumps({"splits": ["train"], "num_steps": 4}),
        "eval_args": json.dumps({"splits": ["validation"]}),
        function: f"models.{'run_fn' if function == 'run_fn' else 'tuning.tuner'}.{function}",
        "custom_config": json.dumps({**config.to_config(), "vertex": vertex}),
    }
