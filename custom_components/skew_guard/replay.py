"""Replays raw examples through every signature of a model and compares the results with the training graph."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from artifacts.nodes.skew import Skew, SkewReport
from common.error_reason import reason
from custom_components.shared.examples import records
from custom_components.shared.machine_failures import is_machine_failure
from custom_components.skew_guard.report import SkewError
from models.label_scaling import LabelScaling, magnitudes
from models.problem.problem import Problem
from models.signatures import CLASSIFY, REGRESS, SERVE_RAW, SERVING, TRANSFORM_FEATURES, TRANSFORM_LABEL
from models.transforms.columns import MISSING, as_columns

BATCH = 2048  # large, since TensorFlow formats the inputs as text in each call of a saved function
MAX_CANDIDATES = 10_000  # transformed rows that a missing row is compared with
TOLERANCE = 1e-6  # of a prediction, relative to its magnitude. See models.label_scaling.magnitudes.
Arrays: TypeAlias = dict[str, np.ndarray]


class Replay:
    """Compares the serving side of a model with its training side.

    The training side is Transform's saved graph, followed by the exported network.

    Attributes:
        model: The exported SavedModel, loaded.
    """

    def __init__(self, transform_output: tft.TFTransformOutput, model_dir: Path, problem: Problem) -> None:
        self._problem = problem
        self._raw_spec = transform_output.raw_feature_spec()
        self._transform = transform_output.transform_features_layer()
        self._scaling = LabelScaling.of(transform_output, problem)
        self._transformed_spec = transform_output.transformed_feature_spec()
        self.model = tf.saved_model.load(str(model_dir))
        self._compared: collections.Counter[str] = collections.Counter()
        self._largest = 0.0
        self._seen = 0

    def report(self, report: SkewReport) -> SkewReport:
        """Returns ``report`` with the counts of what was compared so far."""
        return dataclasses.replace(
            report, examples=self._seen, compared=dict(self._compared), largest_difference=self._largest
        )

    def run(self, raw_files: Sequence[str], transformed_files: Sequence[str], max_examples: int) -> None:
        """Replays the raw examples of a split.

        Args:
            raw_files: Gzipped TFRecord files of raw examples.
            transformed_files: Transform's files of the same split. The order of their rows does not matter.
            max_examples: Maximum number of examples.

        Raises:
            SkewError: At the first difference.
        """
        batches: list[Arrays] = []
        for batch in records(raw_files).take(max_examples).batch(BATCH).as_numpy_iterator():
            batches.append(self.compare(list(batch), self._seen))
            self._seen += len(batch)
        self._check_materialized(batches, transformed_files)

    def compare(self, examples: list[bytes], offset: int = 0) -> Arrays:
        """Replays one batch of raw examples through every signature.

        Args:
            examples: Serialized ``tf.Example``.
            offset: Index of the first one in its split.

        Returns:
            The training side's transformed values, including the label.

        Raises:
            SkewError: At the first difference.
        """
        parsed = tf.io.parse_example(examples, self._raw_spec)
        expected = {name: value.numpy() for name, value in self._transform(parsed).items()}
        serialized = tf.constant(examples)
        label = {self._problem.label_tensor: expected[self._problem.label_tensor]}
        features = {name: expected[name] for name in self._problem.features.transformed_names}
        self._compare_bits(TRANSFORM_FEATURES, features, {"examples": serialized}, offset)
        self._compare_bits(TRANSFORM_LABEL, label, {"examples": serialized}, offset)
        predictions = self._outputs(self.model.network(features).numpy())
        self._compare_predictions(SERVING, predictions, {"examples": serialized}, offset)
        self._compare_predictions(SERVE_RAW, predictions, self._arguments(examples), offset)
        method = REGRESS if self._problem.task == "regression" else CLASSIFY
        renamed = {"outputs": predictions["predictions"]} if method == REGRESS else dict(predictions)
        if method == CLASSIFY:
            del renamed["predictions"]
        self._compare_predictions(method, renamed, {"inputs": serialized}, offset)
        return expected

    def _arguments(self, examples: Sequence[bytes]) -> dict[str, tf.Tensor]:
        """Arguments of ``serve_raw`` as a Python function, which have the names of TensorFlow's graphs."""
        names = self._problem.features.tensor_names
        columns = raw_columns(examples, self._raw_spec, self._problem)
        return {names[column]: values for column, values in columns.items()}

    def _outputs(self, predictions: np.ndarray) -> Arrays:
        """The expected outputs of a signature, given the network's predictions."""
        outputs = {"predictions": predictions}
        if names := self._problem.class_names:
            binary = self._problem.task == "binary"
            outputs["scores"] = np.concatenate([1 - predictions, predictions], axis=1) if binary else predictions
            outputs["classes"] = np.tile(np.array([name.encode() for name in names], object), (len(predictions), 1))
        return outputs

    def _call(self, signature: str, inputs: Mapping[str, tf.Tensor]) -> Arrays:
        if signature not in self.model.signatures:
            raise SkewError(Skew("predictions", signature, expected="such a signature", found="none"))
        try:
            return {name: value.numpy() for name, value in self.model.signatures[signature](**inputs).items()}
        except (tf.errors.OpError, TypeError, ValueError) as error:
            if is_machine_failure(error):
                raise
            raise SkewError(Skew("predictions", signature, expected="an answer", found=reason(error))) from error

    def _compare_bits(self, signature: str, expected: Arrays, inputs: Mapping[str, tf.Tensor], offset: int) -> None:
        found = self._call(signature, inputs)
        for name, values in expected.items():
            served = _served(Skew("transformed", signature, name), found, values)
            differs = np.any(_bits(values) != _bits(served), axis=1)
            _raise_at(differs, Skew("transformed", signature, name), values, served, offset)
            self._compared[signature] += values.size

    def _compare_predictions(
        self, signature: str, expected: Arrays, inputs: Mapping[str, tf.Tensor], offset: int
    ) -> None:
        found = self._call(signature, inputs)
        for name, values in expected.items():
            served = _served(Skew("predictions", signature, name), found, values)
            if values.dtype == object:
                differs = np.any(values != served, axis=1)
            else:
                same = _same(values, served)
                with np.errstate(invalid="ignore"):  # infinity minus infinity
                    difference = np.where(same, 0, np.abs(values - served))
                # Written so that NaN on only one side is a difference.
                close = same | (difference <= TOLERANCE * magnitudes(self._scaling, values))
                differs = np.any(~close, axis=1)
                self._largest = float(np.max(difference, initial=self._largest))
            _raise_at(differs, Skew("predictions", signature, name), values, served, offset)
            self._compared[signature] += values.size

    def _check_materialized(self, batches: Sequence[Arrays], files: Sequence[str]) -> None:
        """Checks that each replayed row is in the transformed examples of its split."""
        keys = [key for batch in batches for key in _row_keys(batch)]
        missing = {key: index for index, key in reversed(list(enumerate(keys)))}
        others: list[Arrays] = []
        for batch in records(files).batch(BATCH):
            parsed = tf.io.parse_example(batch, self._transformed_spec)
            rows = {name: _two_dimensional(value.numpy()) for name, value in parsed.items()}
            for index, key in enumerate(_row_keys(rows)):
                if missing.pop(key, None) is None and len(others) < MAX_CANDIDATES:
                    others.append(_row(rows, index))
            if not missing:
                break
        self._compared["transformed_examples"] = len(keys)
        if missing:
            index = min(missing.values())
            raise SkewError(_stale(_row(batches[index // BATCH], index % BATCH), index, others))


def raw_columns(examples: Sequence[bytes], raw_spec: Mapping[str, Any], problem: Problem) -> dict[str, tf.Tensor]:
    """Inputs of ``serve_raw`` as clients send them: dense tensors, with placeholders for missing values.

    They are [N, 1], or for lists [N, length of the longest].
    """
    spec = {name: raw_spec[name] for name in problem.features.columns}
    parsed = tf.io.parse_example(list(examples), spec)
    lists = {name: parsed.pop(name) for name in problem.features.list_lengths}
    dense = {name: tf.sparse.to_dense(values, MISSING[values.dtype]) for name, values in lists.items()}
    return as_columns(parsed) | dense


def _stale(row: Arrays, index: int, others: Sequence[Arrays]) -> Skew:
    """The difference between a row that is missing and the most similar of the rows that match no replayed row."""
    place = "the transformed examples"
    differing = [[name for name in sorted(row) if row[name].tobytes() != other[name].tobytes()] for other in others]
    if not differing:
        return Skew("transformed", place, None, index, "such a row in Transform's graph", "none")
    nearest = min(range(len(differing)), key=lambda each: len(differing[each]))
    name = differing[nearest][0]
    return Skew("transformed", place, name, index, str(row[name].tolist()), str(others[nearest][name].tolist()))


def _served(skew: Skew, found: Arrays, expected: np.ndarray) -> np.ndarray:
    """The served values of a feature or output.

    Raises:
        SkewError: There is no such output, or its shape or dtype differs.
    """
    served = found.get(skew.feature or "")
    if served is None or served.shape != expected.shape or served.dtype != expected.dtype:
        shown = "no such output" if served is None else f"{served.dtype} {list(served.shape)}"
        raise SkewError(dataclasses.replace(skew, expected=f"{expected.dtype} {list(expected.shape)}", found=shown))
    return served


def _raise_at(differs: np.ndarray, skew: Skew, expected: np.ndarray, found: np.ndarray, offset: int) -> None:
    if differs.any():
        row = int(np.argmax(differs))
        values = (str(side[row].tolist()) for side in (expected, found))
        raise SkewError(dataclasses.replace(skew, example=offset + row, expected=next(values), found=next(values)))


def _bits(values: np.ndarray) -> np.ndarray:
    """Reinterprets values as unsigned integers, so that NaN equals NaN and 0.0 differs from -0.0."""
    return values.view(f"u{values.dtype.itemsize}")


def _same(values: np.ndarray, served: np.ndarray) -> np.ndarray:
    """Mask of equal numbers, where NaN equals NaN."""
    return (values == served) | (np.isnan(values) & np.isnan(served))


def _row(columns: Arrays, index: int) -> Arrays:
    return {name: _two_dimensional(column)[index] for name, column in columns.items()}


def _row_keys(columns: Arrays) -> list[bytes]:
    """The bytes of each row's values, with the columns in the order of their names."""
    parts = [_two_dimensional(columns[name]) for name in sorted(columns)]
    return [b"".join(part[row].tobytes() for part in parts) for row in range(len(parts[0]))]


def _two_dimensional(values: np.ndarray) -> np.ndarray:
    return values if values.ndim > 1 else values[:, np.newaxis]
