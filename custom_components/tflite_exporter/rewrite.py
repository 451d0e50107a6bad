"""Rewrites the saved Transform graph into operators that TFLite has.

The graph is walked operator by operator from each transformed feature. Most operators are taken over as they are; those
that TFLite lacks are replaced by others that give the same values. What cannot be replaced is refused by name.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from custom_components.tflite_exporter.fingerprint import NO_BYTE, TEXT_BYTES, decimal_text, hash_bucket
from models.features import Problem, transformed_name
from models.preprocessing import MISSING

# Operators that the converter knows for the dtypes used here.
TAKEN_OVER = frozenset(
    [
        "Abs",
        "AddV2",
        "ConcatV2",
        "DivNoNan",
        "Equal",
        "ExpandDims",
        "Exp",
        "Fill",
        "Floor",
        "Greater",
        "GreaterEqual",
        "IsFinite",
        "Less",
        "LessEqual",
        "LogicalAnd",
        "LogicalNot",
        "LogicalOr",
        "Maximum",
        "Minimum",
        "Mul",
        "Neg",
        "NotEqual",
        "Pack",
        "RealDiv",
        "Relu",
        "Reshape",
        "Round",
        "SelectV2",
        "Shape",
        "Sign",
        "Sqrt",
        "Square",
        "Squeeze",
        "StridedSlice",
        "Sub",
        "Tanh",
    ]
)
# Operators that are computed in float32 where the graph has float64, which TFLite lacks.
NARROWED = frozenset(["AddV2", "ConcatV2", "Cos", "Log1p", "Mul", "RealDiv", "Sin", "Sub"])


class RewriteError(ValueError):
    """An operator of the Transform graph has no equal among TFLite's."""


class Text(NamedTuple):
    """A string column that is given as bytes; int32 [1, 64], :data:`NO_BYTE` behind the last one."""

    letters: tf.Tensor


class Table(NamedTuple):
    """The hash table of a vocabulary."""

    handle: tf.Tensor

    def keys(self, dtype: tf.DType) -> np.ndarray:
        """The vocabulary, in the order of its indices; [V], int64 or bytes."""
        with tf.init_scope():
            keys, indices = tf.raw_ops.LookupTableExportV2(table_handle=self.handle, Tkeys=dtype, Tvalues=tf.int64)
            return keys.numpy()[np.argsort(indices.numpy())]


Value: TypeAlias = tf.Tensor | Text | Table


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
            walk = _Walk(known, self._hashes)
            return {name: walk.feature(name, output) for name, output in self._outputs.items()}

        specs = {name: tf.TensorSpec(each.spec.shape, each.spec.dtype, name) for name, each in self.inputs.items()}
        return transform.get_concrete_function(**specs)


class _Walk:
    """One walk over a graph; each operator is rewritten once."""

    def __init__(self, known: dict[str, Value], hashes: Sequence[tf.Operation]) -> None:
        """Starts with the placeholders' values by their names, and with the graph's hashes."""
        self._known = known
        self._hashes = hashes
        self._values: dict[str, Value] = {}
        self._hashed: dict[str, tf.Tensor] = {}

    def feature(self, name: str, output: tf.Tensor) -> tf.Tensor:
        try:
            value = self.value(output)
            if not isinstance(value, tf.Tensor) or value.dtype == tf.string:
                raise RewriteError("a string as a transformed feature")
            return tf.reshape(value, [1, -1])
        except RewriteError as error:
            raise RewriteError(
                f"feature '{name}': TFLite's builtin operators cannot express {error}; take the feature out, "
                "or set tflite.enabled to false"
            ) from error

    def value(self, tensor: tf.Tensor) -> Value:
        if tensor.name not in self._values:
            self._values[tensor.name] = self._rewrite(tensor.op)
        return self._values[tensor.name]

    def _rewrite(self, op: tf.Operation) -> Value:
        rewrite = _REWRITES.get(op.type)
        if rewrite is not None:
            return rewrite(self, op)
        if any(each.dtype == tf.float64 for each in (*op.inputs, *op.outputs)):
            if op.type not in NARROWED:
                raise RewriteError(f"{op.type} of float64")
            return _emit(op, [_float32(self.tensor(each)) for each in op.inputs])
        if op.type not in TAKEN_OVER:
            raise RewriteError(op.type)
        return _emit(op, [self.tensor(each) for each in op.inputs])

    def tensor(self, tensor: tf.Tensor) -> tf.Tensor:
        value = self.value(tensor)
        if not isinstance(value, tf.Tensor):
            raise RewriteError(f"{tensor.consumers()[0].type} of strings that are also hashed")
        return value

    def placeholder(self, op: tf.Operation) -> Value:
        if op.name in self._known:
            return self._known[op.name]
        raise RewriteError("an operator that reads a column's sparse indices")

    def same(self, op: tf.Operation) -> Value:
        return self.value(op.inputs[0])

    def constant(self, op: tf.Operation) -> Value:
        array = tf.make_ndarray(op.get_attr("value"))
        return tf.constant(array.astype(np.float32) if array.dtype == np.float64 else array)

    def dense(self, op: tf.Operation) -> Value:
        """``SparseToDense``: the input is dense already, its placeholders where the graph would put them."""
        default = _constant_value(op.inputs[3])
        missing = tf.get_static_value(tf.constant(MISSING[op.inputs[2].dtype], op.inputs[2].dtype))
        if repr(default) != repr(missing):  # of NaN too
            raise RewriteError(f"SparseToDense with the default {default}, not {missing}")
        return self.value(op.inputs[2])

    def cast(self, op: tf.Operation) -> Value:
        """A float64 is carried as what it was made of, an int64 or a float32, both of which it holds exactly."""
        value = self.tensor(op.inputs[0])
        target = op.get_attr("DstT")
        return value if target == tf.float64 else tf.cast(value, target)

    def upper_bound(self, op: tf.Operation) -> Value:
        """``UpperBound``: how many boundaries, [1, B], are at most each value, [1, N]."""
        boundaries, values = (self.tensor(each) for each in op.inputs)
        reached = values[:, :, tf.newaxis] >= boundaries[:, tf.newaxis, :]
        return tf.reduce_sum(tf.cast(reached, op.get_attr("out_type")), axis=2)

    def filled(self, op: tf.Operation) -> Value:
        """``ZerosLike`` and ``OnesLike``: all shapes are known, so this is a constant."""
        value = self.tensor(op.inputs[0])
        return tf.fill(value.shape, tf.constant(int(op.type == "OnesLike"), value.dtype))

    def look_up(self, op: tf.Operation) -> Value:
        table, keys, default = (self.value(each) for each in op.inputs)
        assert isinstance(table, Table)
        words = table.keys(op.get_attr("Tin"))
        matches = _matches(keys, words)
        # One more match, behind all others, stands for a value that the vocabulary does not hold.
        matches = tf.pad(tf.cast(matches, tf.int32), [[0, 0], [0, 1]], constant_values=1)
        index = tf.argmax(matches, axis=1, output_type=tf.int64)[:, tf.newaxis]
        return tf.where(index < len(words), index, tf.cast(default, tf.int64))

    def table_size(self, op: tf.Operation) -> Value:
        table = self.value(op.inputs[0])
        assert isinstance(table, Table)
        with tf.init_scope():
            return tf.constant(tf.raw_ops.LookupTableSizeV2(table_handle=table.handle).numpy(), tf.int64)

    def as_string(self, op: tf.Operation) -> Value:
        if op.inputs[0].dtype != tf.int64 or op.get_attr("width") > 0:
            raise RewriteError(f"AsString of {op.inputs[0].dtype.name}, or to a fixed width")
        return Text(decimal_text(self.tensor(op.inputs[0])[:, 0]))

    def hash_bucket(self, op: tf.Operation) -> Value:
        """``StringToHashBucketFast``: all of the graph's at once, since each takes two hundred operators."""
        if op.get_attr("num_buckets") == 1:
            return tf.zeros([1, 1], tf.int64)
        self._letters(op)  # refuses this one, if it has to be
        if op.name not in self._hashed:
            letters = {each: text for each in self._hashes if (text := self._letters_or_none(each)) is not None}
            buckets = [each.get_attr("num_buckets") for each in letters]
            indices = hash_bucket(tf.concat(list(letters.values()), axis=0), buckets)
            self._hashed = {each.name: indices[place : place + 1, tf.newaxis] for place, each in enumerate(letters)}
        return self._hashed[op.name]

    def _letters_or_none(self, op: tf.Operation) -> tf.Tensor | None:
        try:
            return self._letters(op)
        except RewriteError:
            return None

    def _letters(self, op: tf.Operation) -> tf.Tensor:
        """The bytes of what is hashed; int32 [1, 64]."""
        value = self.value(op.inputs[0])
        if not isinstance(value, Text):
            raise RewriteError(f"{op.type} of a string that is computed")
        return value.letters

    def equal(self, op: tf.Operation) -> Value:
        left, right = (self.value(each) for each in op.inputs)
        if isinstance(left, Text):
            words = _constant_value(op.inputs[1])
            if words is None:
                raise RewriteError(f"{op.type} of two strings that are computed")
            matches = _matches(left, np.reshape(words, [-1]))
            return matches if op.type == "Equal" else tf.logical_not(matches)
        return _emit(op, [left, right])

    def floor_mod(self, op: tf.Operation) -> Value:
        """``FloorMod``: in float64 only of float32 numbers, which lose nothing by what is divided into them."""
        numbers, modulus = self.tensor(op.inputs[0]), _constant_value(op.inputs[1])
        if modulus is None:
            raise RewriteError("FloorMod by a number that is computed")
        if numbers.dtype.as_numpy_dtype(modulus) != modulus or op.inputs[0].dtype.is_integer < numbers.dtype.is_integer:
            raise RewriteError(f"FloorMod of {numbers.dtype.name} by {modulus} in {op.inputs[0].dtype.name}")
        return tf.math.floormod(numbers, tf.constant(modulus, numbers.dtype))


_REWRITES: dict[str, Callable[[_Walk, Any], Value]] = {
    "AsString": _Walk.as_string,
    "Cast": _Walk.cast,
    "Const": _Walk.constant,
    "Equal": _Walk.equal,
    "FloorMod": _Walk.floor_mod,
    "Identity": _Walk.same,
    "LookupTableFindV2": _Walk.look_up,
    "LookupTableSizeV2": _Walk.table_size,
    "NotEqual": _Walk.equal,
    "OnesLike": _Walk.filled,
    "Placeholder": _Walk.placeholder,
    "PlaceholderWithDefault": _Walk.same,
    "SparseToDense": _Walk.dense,
    "StringToHashBucketFast": _Walk.hash_bucket,
    "UpperBound": _Walk.upper_bound,
    "ZerosLike": _Walk.filled,
}


def _emit(op: tf.Operation, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
    """The same operator over other inputs."""
    definition = op.op_def
    waiting = list(inputs)
    arguments: dict[str, Any] = {}
    inferred = set()
    for argument in definition.input_arg:
        inferred |= {argument.type_attr, argument.number_attr, argument.type_list_attr}
        if argument.number_attr:
            count = op.get_attr(argument.number_attr)
            arguments[argument.name], waiting = waiting[:count], waiting[count:]
        else:
            arguments[argument.name] = waiting.pop(0)
    attributes = {each.name: op.get_attr(each.name) for each in definition.attr if each.name not in inferred}
    return getattr(tf.raw_ops, op.type)(**arguments, **attributes)


def _matches(values: tf.Tensor | Text, words: np.ndarray) -> tf.Tensor:
    """Which of the words [V] a value is; bool [1, V]."""
    if not isinstance(values, Text):
        return tf.equal(tf.reshape(values, [1, 1]), tf.constant(words[np.newaxis, :]))
    table = np.full([len(words), TEXT_BYTES], NO_BYTE - 1, np.int32)  # what no text holds
    for row, word in zip(table, words, strict=True):
        if len(word) <= TEXT_BYTES:
            row[:] = NO_BYTE
            row[: len(word)] = list(word)
    return tf.reduce_all(tf.equal(values.letters[:, tf.newaxis, :], table[np.newaxis]), axis=2)


def _float32(tensor: tf.Tensor) -> tf.Tensor:
    return tensor if tensor.dtype == tf.int32 else tf.cast(tensor, tf.float32)


def _constant_value(tensor: tf.Tensor) -> np.ndarray | None:
    value: np.ndarray | None = tf.get_static_value(_behind_identities(tensor))
    return value


def _behind_identities(tensor: tf.Tensor) -> tf.Tensor:
    while tensor.op.type in ("Identity", "PlaceholderWithDefault"):
        tensor = tensor.op.inputs[0]
    return tensor


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
        source = _behind_identities(op.inputs[0]).op
        while source.type == "SparseToDense":
            source = _behind_identities(source.inputs[2]).op
        if source.name in placeholders and source.outputs[0].dtype == tf.string:
            found.add(placeholders[source.name])
    return found
