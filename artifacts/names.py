"""Names of the files and properties that nodes write.

This module imports nothing, so any process can use it. :mod:`serving.edge` defines the name ``manifest.json`` itself,
since devices get a copy of that file alone.
"""

# File of ExampleGen, in the folder of the artifact, if rows were left out of all splits.
LEFT_OUT_FILE = "left_out.json"

# Files of StatisticsGen and ExampleValidator, in the folder of each split.
STATISTICS_FILE = "FeatureStats.pb"
ANOMALIES_FILE = "SchemaDiff.pb"

# Files of the Tuner's results.
TRIALS_FILE = "tuner_results.json"

# Files of the Trainer's model run. The state is removed once training has finished.
HISTORY_FILE = "history.csv"
HYPERPARAMETERS_FILE = "hyperparameters.json"
TRAINING_FILE = "training.json"
STATE_FILE = "state.npz"

# The report of SkewGuard and of TfliteExporter.
REPORT_FILE = "report.json"

# Files of models and of pushed versions.
SAVED_MODEL_FILE = "saved_model.pb"
# TensorFlow Serving replays the requests in this file. See its "SavedModel Warmup" page.
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
# Which rows of a model's embeddings belong to which feature.
EMBEDDINGS_FILE = "embeddings.json"
TFLITE_FILE = "model.tflite"
PROVENANCE_FILE = "provenance.json"

# The file in a run's folder with the result of the run.
SUMMARY_FILE = "summary.json"

# Suffixes of what the Evaluator derives from a metric: "accuracy/gain".
GAIN = "gain"
TRIVIAL = "trivial"
LOW = "low"  # of the 95% interval
HIGH = "high"
# Name of the metric with the number of rows of equal weight whose metrics vary as much.
EFFECTIVE_ROWS = "rows/effective"

# Properties of examples.
SPLIT_NAMES = "split_names"
SPAN = "span"
VERSION = "version"
INPUT_FINGERPRINT = "input_fingerprint"

# Properties of ExampleGen's executions.
INPUT_BASE = "input_base"
INPUT_CONFIG = "input_config"
CUSTOM_CONFIG = "custom_config"

# Options in the custom_config of ExampleGen's executions.
TEST_TABLE = "split_test"
TEST_PATTERN = "split_test_pattern"

# Properties of blessings and of the TFLite model.
BLESSED = "blessed"
REASON = "reason"
HAS_MODEL = "has_model"
MODEL_ID = "current_model_id"

# Properties of pushed and deployed models.
PUSHED = "pushed"
PUSHED_VERSION = "pushed_version"
PUSHED_DESTINATION = "pushed_destination"
PUSHED_TFLITE = "pushed_tflite"


def split_folder(split: str) -> str:
    """Returns the name of a split's folder in an artifact, as TFX names it.

    >>> split_folder("train")
    'Split-train'
    """
    return f"Split-{split}"
