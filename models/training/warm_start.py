"""Begins a training with the weights of an earlier model."""

from collections.abc import Mapping

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras
from tensorflow.core.protobuf import trackable_object_graph_pb2

from common.progress import report
from models.features import Problem, transformed_name
from models.training.state import Array

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"  # tensorflow/python/trackable/base.py


def warm_start(model: keras.Model, base: str, problem: Problem, transform_output: tft.TFTransformOutput) -> int:
    """Takes over the weights of a SavedModel, by name, where they have the shape of the network's own.

    Rows of an embedding follow their words: a vocabulary is in the order of the words' frequency, which changes with
    the data. Weights of another shape, or of a word that is new, stay as they were drawn.

    Args:
        model: The network, just built.
        base: Folder of a SavedModel that :func:`models.signatures.export` wrote.
        problem: Names the features.
        transform_output: The Transform graph that the network is for.

    Returns:
        The number of variables that were taken over.

    Raises:
        ValueError: None fits.
    """
    saved = _variables(base)
    vocabularies = _vocabularies(base, problem, transform_output)
    weights, taken = [], 0
    for variable, value in zip(model.weights, model.get_weights(), strict=True):
        name = _name(variable.name)
        earlier = saved.get(name)
        words = next((found for feature, found in vocabularies.items() if name.startswith(f"{feature}_")), None)
        if earlier is not None and words:
            earlier = _reordered(earlier, value, *words)
        fits = earlier is not None and earlier.shape == value.shape
        weights.append(earlier if fits else value)
        taken += fits
    if not taken:
        raise ValueError(
            f"training.warm_start: none of the {len(weights)} variables of the network is in {base} with the same name "
            "and shape; set it to false for another network"
        )
    model.set_weights(weights)
    report(f"begins with {taken} of {len(weights)} variables of {base}")
    return taken


def _variables(base: str) -> dict[str, Array]:
    """The variables of a SavedModel by name, without loading its graphs."""
    reader = tf.compat.v1.train.NewCheckpointReader(f"{base}/variables/variables")
    graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(reader.get_tensor(GRAPH))
    return {
        _name(attribute.full_name): reader.get_tensor(attribute.checkpoint_key)
        for node in graph.nodes
        for attribute in node.attributes
        if attribute.full_name
    }


def _vocabularies(
    base: str, problem: Problem, transform_output: tft.TFTransformOutput
) -> Mapping[str, tuple[list[bytes], list[bytes]]]:
    """The words of each vocabulary feature, in the earlier model and now."""
    found = {}
    for column in problem.features.vocabulary:
        feature = transformed_name("vocabulary", column)
        asset = f"{base}/assets/{feature}"
        if tf.io.gfile.exists(asset):
            with tf.io.gfile.GFile(asset, "rb") as file:
                earlier = file.read().split(b"\n")[:-1]
            found[feature] = earlier, transform_output.vocabulary_by_name(feature)
    return found


def _reordered(earlier: Array, drawn: Array, words: list[bytes], now: list[bytes]) -> Array:
    """The earlier rows in today's order; the first is for a missing value, those behind the words for unknown ones."""
    rows = drawn.copy()
    if earlier.shape[1:] != rows.shape[1:]:
        return earlier
    rows[0] = earlier[0]
    if len(earlier) - len(words) == len(rows) - len(now):
        rows[1 + len(now) :] = earlier[1 + len(words) :]
    places = {word: place for place, word in enumerate(words)}
    for place, word in enumerate(now):
        if word in places:
            rows[1 + place] = earlier[1 + places[word]]
    return rows


def _name(name: str) -> str:
    return name.removesuffix(":0")
