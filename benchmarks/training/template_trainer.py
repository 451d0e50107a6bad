"""The trainer of TFX's taxi template.

It follows tfx/experimental/templates/taxi/models/keras_model/model.py, without its MirroredStrategy and TensorBoard
callback, which only slow it down on one device.
"""

import math
import time
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras
from tfx_bsl.public import tfxio
from tfx_bsl.tfxio.tf_example_record import TFExampleRecord

from models.training.fitting import TrainingData
from models.training.input import input_fn
from models.training_settings import ModelConfig


class Evaluation(NamedTuple):
    """An evaluation on the validation split.

    Attributes:
        seconds: Time since training started.
        auc: The validation AUC.
    """

    seconds: float
    auc: float


def dataset(
    file_patterns: Sequence[str], transform_output: tft.TFTransformOutput, label: str, batch_size: int
) -> tf.data.Dataset:
    """The template's ``_input_fn``: the dataset of ``fn_args.data_accessor.tf_dataset_factory``, repeated without end.

    Returns:
        Batches of ``(features, label)``: features by transformed name, each [batch_size, width], and the label
        [batch_size, 1].
    """
    source = TFExampleRecord(list(file_patterns), schema=transform_output.transformed_metadata.schema)
    options = tfxio.TensorFlowDatasetOptions(batch_size=batch_size, label_key=label)
    return source.TensorFlowDataset(options).repeat()


def fit(model: keras.Model, config: ModelConfig, data: TrainingData) -> list[Evaluation]:
    """Trains as the template's ``run_fn`` does, with an evaluation every ``config.training.evaluate_every`` steps.

    Args:
        model: A compiled network with the metric ``auc``.
        config: Steps, batch size and problem.
        data: Training and validation data.

    Returns:
        The evaluations. Each reads as many rows as the validation split has.
    """
    training, problem, evaluations = config.training, config.problem, list[Evaluation]()
    count = sum(len(labels) for _, labels in input_fn(data.validation_files, data.transform_output, problem, 1024))
    start = time.perf_counter()

    def record(_epoch: int, logs: dict[str, float]) -> None:
        evaluations.append(Evaluation(time.perf_counter() - start, logs["val_auc"]))

    model.fit(
        dataset(data.train_files, data.transform_output, problem.label_tensor, training.batch_size),
        epochs=training.steps // training.evaluate_every,
        steps_per_epoch=training.evaluate_every,
        validation_data=dataset(
            data.validation_files, data.transform_output, problem.label_tensor, training.batch_size
        ),
        validation_steps=math.ceil(count / training.batch_size),
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=record)],
        verbose=0,
    )
    return evaluations
