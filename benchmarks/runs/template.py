"""Runs TFX's taxi template with all of its nodes, as its ``local_runner.py`` does, or measures the model it pushed.

Features, ``preprocessing_fn``, ``run_fn``, steps and the threshold are those of the installed package.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("NO_GCE_CHECK", "true")  # else it waits for Google credentials

import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma
from sklearn.metrics import accuracy_score, roc_auc_score
from tfx import v1 as tfx
from tfx.experimental.templates.taxi.models import features
from tfx.experimental.templates.taxi.pipeline import configs

from benchmarks.runs.node_times import BEAM_ARGS, timed_nodes

MODULES = "tfx.experimental.templates.taxi."
LABEL = features.transformed_name(features.LABEL_KEY)
BATCH = 1024


def main() -> None:
    """Prints JSON: seconds by node of a run, or the quality of the pushed model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runs.template", description=__doc__)
    parser.add_argument("command", choices=("run", "quality"))
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the table, for run")
    parser.add_argument("--output", type=Path, metavar="DIR", required=True, help="output folder of the run")
    arguments = parser.parse_args()
    print(
        json.dumps(run(arguments.data, arguments.output) if arguments.command == "run" else quality(arguments.output))
    )


def run(data: Path, output: Path) -> dict[str, float]:
    """Runs the template, and returns the seconds by node."""
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="template",
        pipeline_root=str(output / "artifacts"),
        components=_components(data, output),
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(output / "metadata.db")
        ),
        beam_pipeline_args=BEAM_ARGS,
    )
    with timed_nodes() as seconds:
        tfx.orchestration.LocalDagRunner().run(pipeline)
    return seconds


def quality(output: Path) -> dict[str, float]:
    """Measures the quality of the pushed model on the eval split.

    Returns:
        ``auc``, ``accuracy`` at 0.5, and ``majority``, the accuracy of always predicting the more frequent class.

    Raises:
        FileNotFoundError: The run pushed no model.
    """
    versions = sorted(_serving_folder(output).glob("[0-9]*"))
    if not versions:
        raise FileNotFoundError(
            f"{_serving_folder(output)}: found no version; expected the version that the template pushed"
        )
    signatures = tf.saved_model.load(str(versions[-1])).signatures
    files = [str(path) for path in output.glob("artifacts/CsvExampleGen/examples/*/Split-eval/*")]
    labels, scores = list[Any](), list[Any]()
    for examples in tf.data.TFRecordDataset(files, "GZIP").batch(BATCH):
        labels.append(signatures["transform_features"](examples)[LABEL].numpy().ravel())
        scores.append(signatures["serving_default"](examples)["outputs"].numpy().ravel())
    label, score = np.concatenate(labels), np.concatenate(scores)
    return {
        "auc": float(roc_auc_score(label, score)),
        "accuracy": float(accuracy_score(label, score > 0.5)),
        "majority": float(max(label.mean(), 1 - label.mean())),
    }


def _serving_folder(output: Path) -> Path:
    return output / "served"


def _components(data: Path, output: Path) -> list[Any]:
    example_gen = tfx.components.CsvExampleGen(input_base=str(data))
    examples = example_gen.outputs["examples"]
    statistics_gen = tfx.components.StatisticsGen(examples=examples)
    statistics = statistics_gen.outputs["statistics"]
    schema_gen = tfx.components.SchemaGen(statistics=statistics)
    schema = schema_gen.outputs["schema"]
    validator = tfx.components.ExampleValidator(statistics=statistics, schema=schema)
    transform = tfx.components.Transform(
        examples=examples, schema=schema, preprocessing_fn=MODULES + configs.PREPROCESSING_FN
    )
    trainer = tfx.components.Trainer(
        run_fn=MODULES + configs.RUN_FN,
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema,
        train_args=tfx.proto.TrainArgs(num_steps=configs.TRAIN_NUM_STEPS),
        eval_args=tfx.proto.EvalArgs(num_steps=configs.EVAL_NUM_STEPS),
    )
    resolver = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    ).with_id("LatestBlessedModel")
    evaluator = tfx.components.Evaluator(
        examples=examples,
        model=trainer.outputs["model"],
        baseline_model=resolver.outputs["model"],
        eval_config=_eval_config(),
    )
    filesystem = tfx.proto.PushDestination.Filesystem(base_directory=str(_serving_folder(output)))
    pusher = tfx.components.Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(filesystem=filesystem),
    )
    return [example_gen, statistics_gen, schema_gen, validator, transform, trainer, resolver, evaluator, pusher]


def _eval_config() -> tfma.EvalConfig:
    """Returns the template's policy: a minimum accuracy over all rows, and no worse than the last model."""
    threshold = tfma.MetricThreshold(
        value_threshold=tfma.GenericValueThreshold(lower_bound={"value": configs.EVAL_ACCURACY_THRESHOLD}),
        change_threshold=tfma.GenericChangeThreshold(
            direction=tfma.MetricDirection.HIGHER_IS_BETTER, absolute={"value": -1e-10}
        ),
    )
    accuracy = tfma.MetricConfig(class_name="BinaryAccuracy", threshold=threshold)
    model = tfma.ModelSpec(
        signature_name="serving_default", label_key=LABEL, preprocessing_function_names=["transform_features"]
    )
    return tfma.EvalConfig(
        model_specs=[model],
        slicing_specs=[tfma.SlicingSpec()],
        metrics_specs=[tfma.MetricsSpec(metrics=[accuracy])],
    )


if __name__ == "__main__":
    main()
