"""The transform of each kind of feature."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import tensorflow as tf
import tensorflow_transform as tft

from models.problem.features import Feature, Features
from models.problem.kinds import Kind
from models.transforms.categories import hashed, integer, vocabulary
from models.transforms.columns import RawColumns
from models.transforms.crosses import crossed
from models.transforms.dates import date
from models.transforms.lists import numbers
from models.transforms.missing import missing
from models.transforms.numbers import bucketed, cyclical, dense
from models.transforms.words import tags, text

# Transforms all features of one kind. Returns their tensors [N, width] by name in TensorFlow's graphs.
Transform: TypeAlias = Callable[[Sequence[Feature], RawColumns], dict[str, tf.Tensor]]

# The kinds of features that read numbers, rather than the raw values.
NUMERIC_KINDS: tuple[Kind, ...] = ("dense", "bucketed", "ratio", "difference")
TRANSFORMS: Mapping[Kind, Transform] = {
    "dense": dense,
    "bucketed": bucketed,
    "integer": integer,
    "vocabulary": vocabulary,
    "hashed": hashed,
    "cyclical": cyclical,
    "ratio": dense,
    "difference": dense,
    "missing": missing,
    "crossed": crossed,
    "date": date,
    "text": text,
    "tags": tags,
    "numbers": numbers,
}
# The number of indices of each kind of categorical feature.
SIZES: Mapping[Kind, Callable[[Feature, tft.TFTransformOutput], int]] = {
    "bucketed": lambda feature, _graph: feature.spec.buckets + 1,
    "integer": lambda feature, _graph: feature.spec.max - feature.spec.min + 3,
    "vocabulary": lambda feature, graph: graph.vocabulary_size_by_name(feature.name) + feature.spec.oov_buckets + 1,
    "hashed": lambda feature, _graph: feature.spec.buckets + 1,
    "crossed": lambda feature, _graph: feature.spec.size,
    "text": lambda feature, graph: _hashed_or_known(feature, graph, 0),
    "tags": lambda feature, graph: _hashed_or_known(feature, graph, feature.spec.oov_buckets),
}


def _hashed_or_known(feature: Feature, graph: tft.TFTransformOutput, oov_buckets: int) -> int:
    buckets: int | None = feature.spec.buckets
    return (buckets or graph.vocabulary_size_by_name(feature.name) + oov_buckets) + 1


def categorical_sizes(features: Features, transform_output: tft.TFTransformOutput) -> dict[str, int]:
    """Number of indices of each transformed categorical feature, including the index for a missing value."""
    return {
        feature.name: size(feature, transform_output)
        for kind, size in SIZES.items()
        for feature in features.of_kind(kind)
    }
