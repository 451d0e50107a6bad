"""Checks that the label of the training split can be learned."""

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_transform as tft

from models.problem.problem import Problem
from models.training.input import input_fn


def check_label(files: Sequence[str], transform_output: tft.TFTransformOutput, problem: Problem) -> None:
    """Rejects a training split with a constant label. It stops reading as soon as it finds a second value.

    Args:
        files: Patterns of the transformed training examples.
        transform_output: The Transform graph that wrote them.
        problem: Problem with the label.

    Raises:
        ValueError: All rows have the same label, or there are no rows.
    """
    first, rows = None, 0
    for _, labels in input_fn(files, transform_output, problem, batch_size=1024):
        first = labels[0, 0].numpy() if first is None else first
        if bool(tf.reduce_any(labels != first)):
            return
        rows += len(labels)
    if first is None:
        raise ValueError("found no rows in the training split; expected some, so check data.splits and the table")
    names = dict(enumerate(problem.class_names))
    value = "the same value" if problem.task == "regression" else f"'{names.get(int(first), first)}'"
    raise ValueError(
        f"label '{problem.label.name}': found {value} in all of the {rows:,} training rows; expected at least two "
        f"values for a {problem.task} task, so check the column '{problem.label.column}'"
    )
