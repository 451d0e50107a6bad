"""Models that differ from the run's Transform graph, for tests of runs that the skew guard has to stop."""

import shutil
from pathlib import Path

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras
import yaml
from conftest import FEATURES

from common.project import ROOT
from models.signatures import export
from models.training.trainer import build_model
from models.training_settings import ModelConfig
from pipeline.config.loading import load_config


class FareAgain(keras.layers.Layer):
    """A second implementation of one feature."""

    def __init__(self, layer: keras.layers.Layer) -> None:
        super().__init__()
        self.layer = layer

    def call(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        features = dict(self.layer(raw))
        if "fare_dense" in features:
            features["fare_dense"] = features["fare_dense"] * 1.001
        return features


class SecondImplementation(tft.TFTransformOutput):
    """A Transform graph whose layer computes one feature differently."""

    def transform_features_layer(self) -> keras.layers.Layer:
        return FareAgain(super().transform_features_layer())


def export_untrained(graph: tft.TFTransformOutput, folder: Path) -> None:
    """Replaces an exported model by an untrained one with another graph."""
    config = load_config(ROOT / "configs/taxi.yaml", {"features": yaml.safe_dump(FEATURES)})
    settings = ModelConfig(problem=config.problem, network=config.network, training=config.training)
    shutil.rmtree(folder)
    export(build_model(settings, {"hidden_units": 4}, graph), graph, config.problem, str(folder))
