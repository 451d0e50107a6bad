"""Replays raw examples through every signature and compares with the training side."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from custom_components.skew_guard.report import Report, Skew, SkewError
from models.features import Problem, transformed_name
from models.preprocessing import as_column
from models.signatures import CLASSIFY, REGRESS, SERVE_RAW, SERVING, TRANSFORM_FEATURES, TRANSFORM_LABEL

BATCH = 512
TOLERANCE = 1e-6  # of a prediction, absolute
Arrays: TypeAlias = dict[str, np.ndarray]


class Replay:
    """The training side and the serving side of one model.

    The training side is Transform's own saved graph, and the exported network called on what that graph gives.
    """

    def __init__(self, transform_output: tft.TFTransformOutput, model_dir: Path, problem: Problem) -> None:
        self._problem = problem
        self._raw_spec = transform_output.raw_feature_spec()
        self._transform = transform_output.transform_features_layer()
        self._transformed_spec = transform_output.transformed_feature_spec()
        self._model = tf.saved_model.load(str(model_dir))
        self._names = [transformed_name(kind, column) for kind, column in problem.features]
        self._compared: collections.Counter[str] = collections.Counter()
        self._largest = 0.0

    def run(self, raw_files: Sequence[str], transformed_files: Sequence[str], most_examples: int) -> Report:
        """Replays the raw examples of a split.

        Args:
            raw_files: Gzipped TFRecord files of raw examples.
            transformed_files: Those of the same split, as Transform wrote them, in any order.
            most_examples: Stop after this many.

        Returns:
            What was compared.

        Raises:
            SkewError: At the first difference.
        """
        rows: dict[bytes, int] = {}
        seen = 0
        for batch in _records(raw_files).take(most_examples).batch(BATCH).as_numpy_iterator():
            expected = self.compare(list(batch), seen)
            rows.update({row: seen + index for index, row in enumerate(_row_keys(expected))})
            seen += len(batch)
        self._check_materialized(rows, transformed_files)
        return Report(examples=seen, compared=dict(self._compared), largest_difference=self._largest)

    def raw_types(self) -> dict[str, tf.DType]:
        """Dtype by raw column."""
        return {name: feature.dtype for name, feature in self._raw_spec.items()}

    def raw_columns(self, examples: Sequence[bytes]) -> dict[str, tf.Tensor]:
        """Raw features as ``serve_raw`` takes them: a dense tensor a column, [N, 1], with placeholders."""
        spec = {name: self._raw_spec[name] for name in self._problem.features.columns}
        return {name: as_column(values) for name, values in tf.io.parse_example(list(examples), spec).items()}

    def compare(self, examples: list[bytes], offset: int = 0) -> Arrays:
        """Replays one batch of raw examples through every signature.

        Args:
            examples: Serialized ``tf.Example``.
            offset: Index of the first one in its split.

        Returns:
            The training side's transformed values, the label's among them.

        Raises:
            SkewError: At the first difference.
        """
        parsed = tf.io.parse_example(examples, self._raw_spec)
        expected = {name: value.numpy() for name, value in self._transform(parsed).items()}
        serialized = tf.constant(examples)
        label = {self._problem.label.name: expected[self._problem.label.name]}
        features = {name: expected[name] for name in self._names}
        self._compare_bits(TRANSFORM_FEATURES, features, {"examples": serialized}, offset)
        self._compare_bits(TRANSFORM_LABEL, label, {"examples": serialized}, offset)
        predictions = self._outputs(self._model(features, training=False).numpy())
        self._compare_predictions(SERVING, predictions, {"examples": serialized}, offset)
        self._compare_predictions(SERVE_RAW, predictions, self.raw_columns(examples), offset)
        method = REGRESS if self._problem.task == "regression" else CLASSIFY
        renamed = {"outputs": predictions["predictions"]} if method == REGRESS else dict(predictions)
        if method == CLASSIFY:
            del renamed["predictions"]
        self._compare_predictions(method, renamed, {"inputs": serialized}, offset)
        return expected

    def _outputs(self, predictions: np.ndarray) -> Arrays:
        """What a signature should answer, given the network's predictions."""
        outputs = {"predictions": predictions}
        if names := self._problem.class_names:
            binary = self._problem.task == "binary"
            outputs["scores"] = np.concatenate([1 - predictions, predictions], axis=1) if binary else predictions
            outputs["classes"] = np.tile(np.array([name.encode() for name in names], object), (len(predictions), 1))
        return outputs

    def _call(self, signature: str, inputs: Mapping[str, tf.Tensor]) -> Arrays:
        if signature not in self._model.signatures:
            raise SkewError(Skew("predictions", signature, expected="such a signature", found="none"))
        return {name: value.numpy() for name, value in self._model.signatures[signature](**inputs).items()}

    def _compare_bits(self, signature: str, expected: Arrays, inputs: Mapping[str, tf.Tensor], offset: int) -> None:
        found = self._call(signature, inputs)
        for name, values in expected.items():
            served = _served(signature, name, found, values)
            differs = np.any(_bits(values) != _bits(served), axis=1)
            _raise_at(differs, Skew("transformed", signature, name), values, served, offset)
            self._compared[signature] += values.size

    def _compare_predictions(
        self, signature: str, expected: Arrays, inputs: Mapping[str, tf.Tensor], offset: int
    ) -> None:
        found = self._call(signature, inputs)
        for name, values in expected.items():
            served = _served(signature, name, found, values)
            if values.dtype == object:
                differs = np.any(values != served, axis=1)
            else:
                # Written so that a NaN on one side alone differs.
                close = (np.abs(values - served) <= TOLERANCE) | (np.isnan(values) & np.isnan(served))
                differs = np.any(~close, axis=1)
                self._largest = max(self._largest, float(np.max(np.abs(values - served), initial=0.0)))
            _raise_at(differs, Skew("predictions", signature, name), values, served, offset)
            self._compared[signature] += values.size

    def _check_materialized(self, rows: Mapping[bytes, int], files: Sequence[str]) -> None:
        """Checks that each replayed row is among the transformed examples that training and evaluation read."""
        missing = dict(rows)
        for batch in _records(files).batch(BATCH):
            parsed = tf.io.parse_example(batch, self._transformed_spec)
            arrays = {name: _two_dimensional(value.numpy()) for name, value in parsed.items()}
            for row in _row_keys(arrays):
                missing.pop(row, None)
        if missing:
            index = min(missing.values())
            raise SkewError(
                Skew("transformed", "the transformed examples", None, index, "such a row in Transform's graph", "none")
            )
        self._compared["transformed_examples"] = len(rows)


def _records(files: Sequence[str]) -> tf.data.TFRecordDataset:
    return tf.data.TFRecordDataset(sorted(files), compression_type="GZIP")


def _served(signature: str, name: str, found: Arrays, expected: np.ndarray) -> np.ndarray:
    """The served values under ``name``, if they are of the expected shape and dtype."""
    served = found.get(name)
    if served is None or served.shape != expected.shape or served.dtype != expected.dtype:
        shown = "no such output" if served is None else f"{served.dtype} {list(served.shape)}"
        raise SkewError(
            Skew("predictions", signature, name, expected=f"{expected.dtype} {list(expected.shape)}", found=shown)
        )
    return served


def _raise_at(differs: np.ndarray, skew: Skew, expected: np.ndarray, found: np.ndarray, offset: int) -> None:
    if differs.any():
        row = int(np.argmax(differs))
        values = (str(side[row].tolist()) for side in (expected, found))
        raise SkewError(dataclasses.replace(skew, example=offset + row, expected=next(values), found=next(values)))


def _bits(values: np.ndarray) -> np.ndarray:
    """``values`` as unsigned integers, so that NaN equals itself and 0.0 is not -0.0."""
    return values.view(f"u{values.dtype.itemsize}")


def _row_keys(columns: Arrays) -> list[bytes]:
    """Each row's values as bytes, in the order of the columns' names."""
    parts = [_two_dimensional(columns[name]) for name in sorted(columns)]
    return [b"".join(part[row].tobytes() for part in parts) for row in range(len(parts[0]))]


def _two_dimensional(values: np.ndarray) -> np.ndarray:
    return values if values.ndim > 1 else values[:, np.newaxis]
