import json

import pandas as pd
import pytest
import tensorflow_model_analysis as tfma
from numpy.typing import ArrayLike
from tensorflow_model_analysis.proto import config_pb2

from models.problem.problem import Task
from pipeline.config.metrics import METRICS


@pytest.mark.parametrize(
    ("task", "labels", "predictions", "expected"),
    [
        (
            "binary",
            [0, 1, 0],
            [0.1, 0.9, 0.8],
            {
                "auc": 1.0,
                "pr_auc": 1.0,
                "accuracy": 2 / 3,
                "precision": 0.5,
                "recall": 1.0,
                "calibration": 1.8,
                "loss": 0.60672,
                "example_count": 3,
            },
        ),
        (
            "multiclass",
            [1, 0, 1],
            [[0.1, 0.9, 0.0], [0.8, 0.1, 0.1], [0.2, 0.3, 0.5]],
            {"accuracy": 2 / 3, "loss": 0.51083, "example_count": 3},
        ),
        (
            "regression",
            [1.0, 2.0, 4.0],
            [1.0, 2.0, 1.0],
            {
                "mse": 3.0,
                "mae": 1.0,
                "mape": 25.0,
                "calibration": 4 / 7,
                "mean_label": 7 / 3,
                "mean_prediction": 4 / 3,
                "example_count": 3,
            },
        ),
    ],
)
def test_every_metric_measures_what_its_name_says(
    task: Task, labels: list[float], predictions: list[ArrayLike], expected: dict[str, float]
) -> None:
    metrics = [
        config_pb2.MetricConfig(class_name=name_in_tfma, config=json.dumps({"name": name}))
        for name, name_in_tfma in METRICS[task].items()
    ]
    config = config_pb2.EvalConfig(
        model_specs=[config_pb2.ModelSpec(label_key="label", prediction_key="prediction")],
        slicing_specs=[config_pb2.SlicingSpec()],
        metrics_specs=[config_pb2.MetricsSpec(metrics=metrics)],
    )
    table = pd.DataFrame({"label": labels, "prediction": predictions})
    measured = tfma.analyze_raw_data(table, config).get_metrics_for_slice()
    values = {name: value["doubleValue"] for name, value in measured.items()}
    assert values == pytest.approx(expected, abs=1e-4)
