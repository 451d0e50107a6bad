"""Initializes a network with the weights of an earlier model."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras
from tensorflow.core.protobuf import trackable_object_graph_pb2

from artifacts.names import EMBEDDINGS_FILE
from common.progress import report
from models.embeddings import embedding_layers, read_layout, variable_name
from models.problem.problem import Problem
from models.training.state import Array

Words: TypeAlias = tuple[list[bytes], list[bytes]]  # of an earlier vocabulary, and of the new one
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"  # tensorflow/python/trackable/base.py


def warm_start(model: keras.Model, base: str, problem: Problem, transform_output: tft.TFTransformOutput) -> int:
    """Copies the weights of a SavedModel to the variables of ``model`` that have the same name and shape.

    Rows of an embedding follow their words, because a vocabulary is sorted by frequency, which changes with the data.
    Weights of another shape, and those of new words and features, keep their initial values.

    Args:
        model: The newly built network.
        base: Folder of a SavedModel that :func:`models.signatures.export` wrote.
        problem: Problem with the features.
        transform_output: The Transform graph of the new model.

    Returns:
        The number of variables that were copied.

    Raises:
        ValueError: No variable matches, or an earlier version of this project trained the model.
    """
    saved, vocabularies = _variables(base), _vocabularies(base, problem, transform_output)
    layers, layout = embedding_layers(model), read_layout(base)
    if layers and layout is None:
        raise ValueError(
            f"training.warm_start: found no {EMBEDDINGS_FILE} in {base}, so an earlier version of this project trained "
            "it, with other variables; set it to false for one run"
        )
    features = problem.features.transformed_names
    weights, copied = [], 0
    for variable, initial in zip(model.weights, model.get_weights(), strict=True):
        name = variable_name(variable.name)
        earlier = saved.get(name)
        if earlier is not None and name in layers:
            earlier = _assemble(_parts(earlier, (layout or {}).get(name, {})), initial, layers[name].rows, vocabularies)
        elif earlier is not None and (words := vocabularies.get(feature_of(name, features))):
            earlier = _reorder_rows(earlier, initial, *words)
        fits = earlier is not None and earlier.shape == initial.shape
        weights.append(earlier if fits else initial)
        copied += fits
    if not copied:
        raise ValueError(
            f"training.warm_start: found none of the {len(weights)} variables of the network in {base}; expected the "
            "same names and shapes, so set it to false for another network"
        )
    model.set_weights(weights)
    report(f"starting with {copied} of {len(weights)} variables of {base}")
    return copied


def _parts(table: Array, sizes: Mapping[str, int]) -> dict[str, Array]:
    """The rows of each feature."""
    return dict(zip(sizes, np.split(table, np.cumsum([*sizes.values()])[:-1]), strict=True)) if sizes else {}


def _assemble(
    earlier: Mapping[str, Array], initial: Array, rows: Mapping[str, slice], vocabularies: Mapping[str, Words]
) -> Array:
    """The embeddings of several features: the earlier ones where a feature has them, else the initial ones."""
    result = initial.copy()
    for feature, place in rows.items():
        part = earlier.get(feature)
        if part is not None and feature in vocabularies:
            part = _reorder_rows(part, initial[place], *vocabularies[feature])
        if part is not None and part.shape == initial[place].shape:
            result[place] = part
    return result


def feature_of(variable: str, features: Iterable[str]) -> str:
    """Returns the feature that a variable is named after, or an empty string. Of two, it is the longer one.

    >>> feature_of("city_vocabulary_hashed_deep/embeddings", ["city_vocabulary", "city_vocabulary_hashed"])
    'city_vocabulary_hashed'
    """
    return max((each for each in features if variable.startswith(f"{each}_")), key=len, default="")


def _variables(base: str) -> dict[str, Array]:
    """The variables of a SavedModel by name, read without loading its graphs."""
    reader = tf.compat.v1.train.NewCheckpointReader(f"{base}/variables/variables")
    graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(reader.get_tensor(OBJECT_GRAPH))
    return {
        variable_name(attribute.full_name): reader.get_tensor(attribute.checkpoint_key)
        for node in graph.nodes
        for attribute in node.attributes
        if attribute.full_name
    }


def _vocabularies(base: str, problem: Problem, transform_output: tft.TFTransformOutput) -> Mapping[str, Words]:
    """The words of each vocabulary feature, in the earlier model and in the new Transform graph."""
    found = {}
    for kind, name in problem.features:
        feature = problem.features.tensor_name(kind, name)
        asset = f"{base}/assets/{feature}"
        if tf.io.gfile.exists(asset):
            with tf.io.gfile.GFile(asset, "rb") as file:
                earlier = file.read().split(b"\n")[:-1]
            found[feature] = earlier, transform_output.vocabulary_by_name(feature)
    return found


def _reorder_rows(earlier: Array, initial: Array, old_words: list[bytes], new_words: list[bytes]) -> Array:
    """The rows of an earlier embedding in the order of the new words.

    The first row is for a missing value, and those after the words are for unknown ones.
    """
    rows = initial.copy()
    if earlier.shape[1:] != rows.shape[1:]:
        return earlier
    rows[0] = earlier[0]
    if len(earlier) - len(old_words) == len(rows) - len(new_words):
        rows[1 + len(new_words) :] = earlier[1 + len(old_words) :]
    places = {word: place for place, word in enumerate(old_words)}
    for place, word in enumerate(new_words):
        if word in places:
            rows[1 + place] = earlier[1 + places[word]]
    return rows
