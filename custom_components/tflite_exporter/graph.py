"""The saved Transform graph as a function of one row in operators that TFLite has."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_transform as tft
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from custom_components.tflite_exporter.fingerprint import TEXT_BYTES
from custom_components.tflite_exporter.rewrite import Table, Text, Value, Walk, behind_identities
from models.features import Problem, transformed_name


class RawInput(NamedTuple):
    """A raw feature as the TFLite model takes it.

    Attributes:
        dtype: ``float32``, ``int64`` or ``string``.
        as_bytes: Whether a string is given as its bytes, since a hash is taken of it.
    """

    dtype: str
    as_bytes: bool

    @property
    def spec(self) -> tf.TensorSpec:
        """Shape and dtype of the input."""
        return tf.TensorSpec([1, TEXT_BYTES], tf.int32) if self.as_bytes else tf.TensorSpec([1, 1], self.dtype)


class TransformRewriter:
    """The saved Transform graph of one problem.

    Attributes:
        inputs: The raw features, in the order of their names.
    """

    def __init__(self, transform_output: tft.TFTransformOutput, problem: Problem) -> None:
        """Reads the graph.

        Args:
            transform_output: Where Transform saved it.
            problem: Its features are those that are rewritten.
        """
        spec = transform_output.raw_feature_spec()
        columns = sorted(problem.features.columns)
        self._features = [transformed_name(kind, column) for kind, column in problem.features]
        layer = self._layer = transform_output.transform_features_layer()
        raw = {
            name: tf.SparseTensorSpec([None, None], spec[name].dtype)
            if isinstance(spec[name], tf.io.VarLenFeature)
            else tf.TensorSpec([None, 1], spec[name].dtype)
            for name in columns
        }

        self._columns: dict[str, str] = {}

        @tf.function(autograph=False)
        def transform(raw: Mapping[str, tf.Tensor | tf.SparseTensor]) -> list[tf.Tensor]:
            for name, values in raw.items():
                self._columns[name] = (values.values if isinstance(values, tf.SparseTensor) else values).op.name
            transformed = layer(raw)
            return [transformed[name] for name in self._features]

        concrete = transform.get_concrete_function(raw)
        frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False, aggressive_inlining=True)
        self._outputs = dict(zip(self._features, frozen.outputs, strict=True))
        self._tables = {
            placeholder.op.name: Table(handle)
            for handle, placeholder in concrete.graph.captures
            if placeholder.dtype == tf.resource
        }
        self._hashes = _hashes(frozen.graph)
        hashed = _hashed_columns(self._hashes, self._columns)
        self.inputs = {name: RawInput(spec[name].dtype.name, name in hashed) for name in columns}

    @property
    def features(self) -> list[dict[str, Any]]:
        """The raw features as the model's metadata tells them, and :func:`serving.edge.encode` reads them."""
        return [
            {"name": name, "dtype": each.dtype, "bytes": TEXT_BYTES if each.as_bytes else 0}
            for name, each in self.inputs.items()
        ]

    def concrete_function(self) -> tf.types.experimental.ConcreteFunction:
        """A function of one row, in operators that TFLite has.

        It takes the raw features by name, each as :attr:`inputs` says, and returns the transformed ones, each
        [1, width].

        Raises:
            RewriteError: Names the feature and the operator that cannot be expressed.
        """

        @tf.function(autograph=False)
        def transform(**raw: tf.Tensor) -> dict[str, tf.Tensor]:
            known: dict[str, Value] = {}
            for column, placeholder in self._columns.items():
                known[placeholder] = Text(raw[column]) if self.inputs[column].as_bytes else raw[column]
            known.update(self._tables)
            walk = Walk(known, self._hashes)
            return {name: walk.feature(name, output) for name, output in self._outputs.items()}

        specs = {name: tf.TensorSpec(each.spec.shape, each.spec.dtype, name) for name, each in self.inputs.items()}
        return transform.get_concrete_function(**specs)


def _hashes(graph: tf.Graph) -> list[tf.Operation]:
    """The hashes that have more than one bucket to choose from."""
    return [
        op for op in graph.get_operations() if op.type == "StringToHashBucketFast" and op.get_attr("num_buckets") > 1
    ]


def _hashed_columns(hashes: Sequence[tf.Operation], columns: Mapping[str, str]) -> set[str]:
    """Columns of strings that a hash is taken of."""
    placeholders = {placeholder: column for column, placeholder in columns.items()}
    found = set()
    for op in hashes:
        source = behind_identities(op.inputs[0]).op
        while source.type == "SparseToDense":
            source = behind_identities(source.inputs[2]).op
        if source.name in placeholders and source.outputs[0].dtype == tf.string:
            found.add(placeholders[source.name])
    return found
