"""Trains one network many times, each time without some of the columns."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras

from custom_components.ablation.metrics import Array
from models.distributed.strategy import densify_gradients
from models.label_scaling import LabelScaling
from models.problem.problem import Problem
from models.training.fitting import VALIDATION_BATCH, SharedRows, TrainingData, fit
from models.training.input import count_rows, matching_files, read_table, table_batches
from models.training.steps import StepGraph
from models.training.trainer import build_model, scale_learning_rate
from models.training.weights import row_weights
from models.training_settings import ModelConfig, Scalar

MAX_BYTES = 512 << 20  # of a split in memory. A training has a copy of it.
PARSED_ROWS = 8192


@dataclasses.dataclass(frozen=True)
class Split:
    """A split of the transformed examples.

    Attributes:
        files: Patterns of its files.
        rows: Number of its rows.
        every: Only the first of so many rows is used, so that they fit into memory.
    """

    files: list[str]
    rows: int
    every: int

    @classmethod
    def of(cls, files: list[str], problem: Problem) -> "Split":
        """Counts the rows of files.

        Raises:
            ValueError: There are no rows.
        """
        rows = count_rows(files)
        if not rows:
            raise ValueError(f"found no rows in {files}; expected some, so check data.splits and the table")
        widths = sum(each.width * (8 if each.dtype == "int64" else 4) for each in problem.features.outputs.values())
        return cls(files, rows, -(-rows * widths // MAX_BYTES))

    @property
    def used_rows(self) -> int:
        """Number of rows that are used."""
        return -(-self.rows // self.every)


class Trainings:
    """Trainings of one network in this process, on rows in memory.

    A column is left out by 0, a missing value, in its features: they are then constants, which tell the network
    nothing. So all trainings share one TensorFlow graph, any network function works, and two trainings with the same
    seed start with the same weights and read the rows in the same order.

    Attributes:
        shared: The rows with all columns.
    """

    def __init__(
        self,
        config: ModelConfig,
        hyperparameters: Mapping[str, Scalar],
        splits: tuple[Split, Split],
        transform_output: tft.TFTransformOutput,
    ) -> None:
        """Reads the rows and builds the network.

        Args:
            config: Problem, network and training.
            hyperparameters: Hyperparameters of the network.
            splits: The training and the validation rows.
            transform_output: The Transform graph that wrote them.
        """
        training, problem = config.training, config.problem
        self._config = config
        self._transform_output = transform_output
        self._scaling = LabelScaling.of(transform_output, problem)
        # As in the Trainer, whose workers share each batch.
        self._hyperparameters = scale_learning_rate(hyperparameters, training.learning_rate_scaling, training.workers)
        train, validation = splits
        weights = row_weights(training, problem, matching_files(train.files), transform_output)
        tables = (read_table(each.files, transform_output, problem, weights, each.every) for each in splits)
        train_rows, validation_rows = tables
        self.shared = SharedRows(train_rows, validation_rows, weights, StepGraph())
        self._data = TrainingData(train.files, validation.files, transform_output)
        self._model = build_model(config, self._hyperparameters, transform_output)
        densify_gradients(self._model.optimizer)
        self._model.optimizer.build(self._model.trainable_variables)
        self._optimizer = [variable.numpy() for variable in self._model.optimizer.variables]
        self._initial: dict[int, list[np.ndarray]] = {training.seed: self._model.get_weights()}

    def train(self, seed: int, without: Collection[str]) -> Array:
        """Trains the network from its initial weights.

        Args:
            seed: Seed of the initial weights and of the order of rows.
            without: Names in TensorFlow's graphs of the features that are left out.

        Returns:
            Predictions for the validation rows, [rows, width], in the unit of the table.

        Raises:
            DivergedError: The training or the validation loss is NaN or infinite.
        """
        self._model.set_weights(self._initial_weights(seed))
        for variable, value in zip(self._model.optimizer.variables, self._optimizer, strict=True):
            variable.assign(value)
        rows = dataclasses.replace(
            self.shared,
            train=self.shared.train.without(without),
            validation=self.shared.validation.without(without),
        )
        fit(self._model, self._with_seed(seed), dataclasses.replace(self._data, shared=rows))
        batches = table_batches(rows.validation, VALIDATION_BATCH).map(lambda features, _label: features)
        predictions = tf.constant(self._model.predict(batches, verbose=0))
        if self._scaling:
            predictions = self._scaling.to_raw(predictions)
        found: Array = predictions.numpy().astype(np.float64)
        return found

    def _initial_weights(self, seed: int) -> list[np.ndarray]:
        if seed not in self._initial:
            model = build_model(self._with_seed(seed), self._hyperparameters, self._transform_output)
            self._initial[seed] = model.get_weights()
        return self._initial[seed]

    def _with_seed(self, seed: int) -> ModelConfig:
        return dataclasses.replace(self._config, training=dataclasses.replace(self._config.training, seed=seed))


def read_labels(
    split: Split, transform_output: tft.TFTransformOutput, problem: Problem, is_weighted: bool
) -> tuple[Array, Array]:
    """The labels, [rows], in the unit of the table, and what each row counts: nothing if it has no class."""
    spec = transform_output.transformed_feature_spec()
    names = [problem.label_tensor, *([problem.weight_tensor] if is_weighted and problem.weight_tensor else [])]
    records = tf.data.TFRecordDataset(matching_files(split.files), compression_type="GZIP").shard(split.every, 0)
    parts: list[Sequence[np.ndarray]] = []
    for batch in records.batch(PARSED_ROWS):
        parsed = tf.io.parse_example(batch, {name: spec[name] for name in names})
        parts.append([parsed[name].numpy().ravel().astype(np.float64) for name in names])
    labels, *weights = (np.concatenate(each) for each in zip(*parts, strict=True))
    counted = weights[0] if weights else np.ones(len(labels))
    return labels, counted if problem.task == "regression" else np.where(labels >= 0, counted, 0.0)


def release() -> None:
    """Frees what Keras keeps of the networks."""
    keras.backend.clear_session()
