"""How the Transform graph grows with the columns of each kind: those of a kind share their operators."""

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow_transform import impl_helper

from models.preprocessing import preprocessing_fn
from models.problem.categories import Hashed, Integer, Vocabulary
from models.problem.features import Features
from models.problem.label import Label
from models.problem.numbers import Bucketed, Dense
from models.problem.problem import Problem

# By kind: settings, the dtype of the raw column, and the operators that a further column may add. Its three parts and
# TFT's copies of them are seven, and making it dense is one. A vocabulary has a file, too.
KINDS: dict[str, tuple[Any, tf.DType, int]] = {
    "dense": (Dense(log=True), tf.float32, 8),
    "bucketed": (Bucketed(buckets=4), tf.float32, 8),
    "integer": (Integer(min=1, max=12), tf.int64, 8),
    "hashed": (Hashed(buckets=9), tf.string, 10),
    "vocabulary": (Vocabulary(oov_buckets=2), tf.string, 12),
}


def operators(kind: str, columns: int, folder: Path) -> int:
    spec, dtype, _ = KINDS[kind]
    names = [f"column_{place}" for place in range(columns)]
    problem = Problem(
        task="regression", label=Label(name="y", column="y"), features=Features(**{kind: dict.fromkeys(names, spec)})
    )
    specs = {name: tf.SparseTensorSpec([None, None], dtype) for name in names}
    specs["y"] = tf.SparseTensorSpec([None, None], tf.float32)
    graph, _, outputs = impl_helper.trace_preprocessing_function(
        lambda inputs: preprocessing_fn(inputs, {"problem": problem.to_config()}),
        specs,
        use_tf_compat_v1=False,
        base_temp_dir=str(folder),
    )
    assert len(outputs) > columns
    return len(graph.get_operations())


@pytest.mark.parametrize("kind", KINDS)
def test_another_column_adds_few_operators(kind: str, tmp_path: Path) -> None:
    few, many = (operators(kind, columns, tmp_path) for columns in (3, 13))
    assert (many - few) / 10 <= KINDS[kind][-1]
