"""The only place where raw values become features.

A missing value means the same everywhere. In a ``tf.Example`` it is an absent feature. In a dense tensor it is NaN (or
an infinity), the empty string, or the smallest int64. It becomes 0 for a dense feature (the mean, after z-scoring),
index 0 for a categorical one (known values start at 1), the center of the circle, (0, 0), for a cyclical one, and 0 in
all parts of a date. A ratio or a difference is missing if one of its numbers is, and a cross if all of its values are.
So is a text without words, and a list without values.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

import models.transforms.graph_inputs  # noqa: F401 - makes TFT faster
from models.problem.problem import Problem
from models.transforms.columns import RawColumn, RawColumns, as_column, as_columns, as_lists, as_numbers
from models.transforms.kinds import NUMERIC_KINDS, TRANSFORMS
from models.transforms.label import label_of, mean_one_weights, scaled_label


def preprocessing_fn(inputs: Mapping[str, RawColumn], custom_config: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Maps raw columns to transformed features and the label.

    Args:
        inputs: Raw columns of N rows, sparse where the schema leaves the shape open, else of shape [N, 1], or
            [N, width] for a column of lists.
        custom_config: Holds ``problem``, as returned by :meth:`models.problem.problem.Problem.to_config`.

    Returns:
        The transformed features, as :attr:`models.problem.features.Features.outputs` describes them, and the label:
        int64 [N, 1] for classes or float32 [N, 1] for a regression. For a scaled label, also the target of the network,
        float32 [N, 1], and the constants of the scaling, float32 [N, 4]. See :mod:`models.label_scaling`. For a problem
        with weights, also those, float32 [N, 1], with a mean of 1 over the train split.
    """
    problem = Problem.from_config(custom_config["problem"])
    features = problem.features
    # From here on, columns have their names in TensorFlow's graphs.
    names, lists = features.tensor_names, features.list_lengths
    tensors = as_columns({name: inputs[column] for column, name in names.items() if column not in lists})
    lengths = {names[column]: length for column, length in lists.items()}
    tensors |= as_lists({names[column]: inputs[column] for column in lists}, lengths)
    by_kind = {kind: features.of_kind(kind) for kind in TRANSFORMS}
    numeric = dict.fromkeys(name for kind in NUMERIC_KINDS for each in by_kind[kind] for name in each.columns)
    outputs: dict[str, tf.Tensor] = {}
    columns = RawColumns(tensors, as_numbers({name: tensors[name] for name in numeric}), outputs)
    # Kinds with the same function are transformed together, since an analyzer costs a second at any width.
    for transform in dict.fromkeys(TRANSFORMS.values()):
        kinds = [kind for kind in TRANSFORMS if TRANSFORMS[kind] is transform]
        outputs |= transform([each for kind in kinds for each in by_kind[kind]], columns)
    # The label has to depend on its own columns only.
    outputs[problem.label_tensor] = label_of(problem, {name: as_column(inputs[name]) for name in problem.label.columns})
    if problem.weight and problem.weight_tensor:
        outputs[problem.weight_tensor] = mean_one_weights(as_column(inputs[problem.weight]))
    if problem.has_scaled_label:
        rows = tf.shape(next(iter(tensors.values())))[0]  # of a feature, since a request has no label
        outputs |= scaled_label(problem, outputs[problem.label_tensor], rows)
    return outputs
