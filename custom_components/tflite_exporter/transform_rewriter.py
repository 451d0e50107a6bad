"""Turns the saved Transform graph into a function of one row, with operators that TFLite has."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_transform as tft
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from custom_components.tflite_exporter.farmhash import TEXT_BYTES
from custom_components.tflite_exporter.graph_helpers import skip_identities
from custom_components.tflite_exporter.operator_rewriter import OperatorRewriter
from custom_components.tflite_exporter.strings import StringBytes, Table, Value
from models.problem.problem import Problem


class RawInput(NamedTuple):
    """A raw feature as an input of the TFLite model.

    Attributes:
        dtype: ``float32``, ``int64`` or ``string``.
        as_bytes: Whether a string is passed as its bytes, because it is hashed or read as a date.
        length: Maximum number of values if it is a list, else ``None``.
    """

    dtype: str
    as_bytes: bool
    length: int | None = None

    @property
    def spec(self) -> tf.TensorSpec:
        """Shape and dtype of the input."""
        if self.as_bytes:
            return tf.TensorSpec([1, TEXT_BYTES], tf.int32)
        return tf.TensorSpec([1, self.length or 1], self.dtype)


class TransformRewriter:
    """Rewrites the saved Transform graph of one problem.

    Attributes:
        inputs: The raw features, sorted by name.
    """

    def __init__(self, transform_output: tft.TFTransformOutput, problem: Problem) -> None:
        """Reads the graph.

        Args:
            transform_output: Transform's output.
            problem: The problem whose features are rewritten.
        """
        spec = transform_output.raw_feature_spec()
        columns = sorted(problem.features.columns)
        self._features = problem.features.transformed_names
        self._tensor_names = problem.features.tensor_names
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
        decoded = [op for op in frozen.graph.get_operations() if op.type == "DecodePaddedRaw"]
        as_bytes = _string_columns([*self._hashes, *decoded], self._columns)
        lengths = problem.features.list_lengths
        self.inputs = {name: RawInput(spec[name].dtype.name, name in as_bytes, lengths.get(name)) for name in columns}

    @property
    def input_names(self) -> Mapping[str, str]:
        """By argument of :meth:`concrete_function`: the name of the raw feature."""
        return {self._tensor_names[column]: column for column in self.inputs}

    @property
    def features(self) -> list[dict[str, Any]]:
        """The raw features as they appear in the model's metadata, which :class:`serving.edge.EdgeModel` reads."""
        return [
            {"name": name, "dtype": each.dtype, "bytes": TEXT_BYTES if each.as_bytes else 0}
            | ({"length": each.length} if each.length else {})
            for name, each in self.inputs.items()
        ]

    def concrete_function(self) -> tf.types.experimental.ConcreteFunction:
        """Rewrites the graph.

        Returns:
            A function that takes the raw features, as described by :attr:`inputs`, and returns the transformed
            features, each [1, width], all by their names in TensorFlow's graphs.

        Raises:
            RewriteError: A feature depends on an operator that TFLite does not have.
        """

        @tf.function(autograph=False)
        def transform(**raw: tf.Tensor) -> dict[str, tf.Tensor]:
            known: dict[str, Value] = {}
            for column, placeholder in self._columns.items():
                value = raw[self._tensor_names[column]]
                known[placeholder] = StringBytes(value) if self.inputs[column].as_bytes else value
            known.update(self._tables)
            rewriter = OperatorRewriter(known, self._hashes)
            return {name: rewriter.feature(self._features[name], output) for name, output in self._outputs.items()}

        specs = {
            name: tf.TensorSpec(self.inputs[column].spec.shape, self.inputs[column].spec.dtype, name)
            for name, column in self.input_names.items()
        }
        return transform.get_concrete_function(**specs)


def _hashes(graph: tf.Graph) -> list[tf.Operation]:
    """The hash operators with more than one bucket."""
    return [
        op for op in graph.get_operations() if op.type == "StringToHashBucketFast" and op.get_attr("num_buckets") > 1
    ]


def _string_columns(operators: Sequence[tf.Operation], columns: Mapping[str, str]) -> set[str]:
    """Names of the string columns that are the input of an operator."""
    placeholders = {placeholder: column for column, placeholder in columns.items()}
    found = set()
    pending = [op.inputs[0] for op in operators]
    while pending:
        source = skip_identities(pending.pop())
        if source.op.type == "SparseToDense":
            pending.append(source.op.inputs[2])
        elif source.op.type == "ConcatV2":
            pending += source.op.inputs[:-1]
        elif source.op.name in placeholders and source.dtype == tf.string:
            found.add(placeholders[source.op.name])
    return found
