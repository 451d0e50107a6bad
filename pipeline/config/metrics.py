"""Metrics that settings may name, and their TFMA classes."""

from models.problem.problem import Task

METRICS: dict[Task, dict[str, str]] = {
    "binary": {
        "auc": "AUC",
        "pr_auc": "AUCPrecisionRecall",
        "accuracy": "BinaryAccuracy",
        "precision": "Precision",
        "recall": "Recall",
        "calibration": "Calibration",
        "loss": "BinaryCrossEntropy",
        "example_count": "ExampleCount",
    },
    "multiclass": {
        "accuracy": "SparseCategoricalAccuracy",
        "loss": "SparseCategoricalCrossentropy",
        "example_count": "ExampleCount",
    },
    "regression": {
        "mse": "MeanSquaredError",
        "mae": "MeanAbsoluteError",
        "mape": "MeanAbsolutePercentageError",
        "calibration": "Calibration",
        "mean_label": "MeanLabel",
        "mean_prediction": "MeanPrediction",
        "example_count": "ExampleCount",
    },
}
