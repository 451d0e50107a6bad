"""Rewrites the saved Transform graph into operators that TFLite has.

The graph is walked operator by operator from each transformed feature. Most operators are taken over as they are;
those that TFLite lacks are replaced by others: an index keeps its value, and a number what float32 holds of it. What
cannot be replaced is refused by name.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from custom_components.tflite_exporter.fingerprint import TEXT_BYTES, decimal_text, hash_bucket
from models.preprocessing import MISSING
from serving.edge import NO_BYTE

# Operators that the converter knows for the dtypes used here.
TAKEN_OVER = frozenset(
    [
        "Abs",
        "AddV2",
        "ConcatV2",
        "DivNoNan",
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
# Operators that are computed in float32 where the graph has float64, which TFLite lacks: none whose answer jumps.
NARROWED = frozenset(["ConcatV2", "Cos", "Log1p", "Mul", "Sin"])


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


class Walk:
    """One walk over a graph; each operator is rewritten once."""

    def __init__(self, known: dict[str, Value], hashes: Sequence[tf.Operation]) -> None:
        """Starts with the placeholders' values by their names, and with the graph's hashes."""
        self._known = known
        self._hashes = hashes
        self._values: dict[str, Value] = {}
        self._hashed: dict[str, tf.Tensor] = {}

    def feature(self, name: str, output: tf.Tensor) -> tf.Tensor:
        """A transformed feature, [1, width], of what the graph gives for it.

        Raises:
            RewriteError: It needs an operator that has no equal.
        """
        try:
            value = self._value(output)
            if not isinstance(value, tf.Tensor) or value.dtype == tf.string:
                raise RewriteError("a string as a transformed feature")
            return tf.reshape(value, [1, -1])
        except RewriteError as error:
            raise RewriteError(
                f"feature '{name}': TFLite's builtin operators cannot express {error}; take the feature out, "
                "or set tflite.enabled to false"
            ) from None

    def _value(self, tensor: tf.Tensor) -> Value:
        if tensor.name not in self._values:
            found = self._rewrite(tensor.op)
            several = found if isinstance(found, list) else [found]
            self._values.update(zip([each.name for each in tensor.op.outputs], several, strict=False))
        return self._values[tensor.name]

    def _rewrite(self, op: tf.Operation) -> Value | list[tf.Tensor]:
        rewrite = _REWRITES.get(op.type)
        try:
            if rewrite is not None:
                return rewrite(self, op)
            if any(each.dtype == tf.float64 for each in (*op.inputs, *op.outputs)):
                if op.type not in NARROWED:
                    raise RewriteError(f"{op.type} of float64")
                return _emit(op, [_float32(each) for each in self._inputs(op)])
            if op.type not in TAKEN_OVER:
                raise RewriteError(op.type)
            if any(each.dtype == tf.string for each in op.inputs):
                raise RewriteError(f"{op.type} of strings")
            return _emit(op, self._inputs(op))
        except (tf.errors.OpError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, RewriteError):
                raise
            raise RewriteError(f"{op.type} ({(str(error).splitlines() or [''])[0]})") from error

    def _inputs(self, op: tf.Operation) -> list[tf.Tensor]:
        """The values that an operator is given, none of them a string's bytes."""
        values = [self._value(each) for each in op.inputs]
        if not all(isinstance(each, tf.Tensor) for each in values):
            raise RewriteError(f"{op.type} of strings that are also hashed")
        return values

    def _placeholder(self, op: tf.Operation) -> Value:
        if op.name in self._known:
            return self._known[op.name]
        raise RewriteError("an operator that reads a column's sparse indices")

    def _same(self, op: tf.Operation) -> Value:
        return self._value(op.inputs[0])

    def _constant(self, op: tf.Operation) -> Value:
        array = tf.make_ndarray(op.get_attr("value"))
        return tf.constant(array.astype(np.float32) if array.dtype == np.float64 else array)

    def _dense(self, op: tf.Operation) -> Value:
        """``SparseToDense``: the input is dense already, its placeholders where the graph would put them."""
        default, dtype = _constant_value(op.inputs[3]), op.inputs[2].dtype
        if dtype not in MISSING:
            raise RewriteError(f"SparseToDense of {dtype.name}")
        missing = tf.get_static_value(tf.constant(MISSING[dtype], dtype))
        if repr(default) != repr(missing):  # of NaN too
            raise RewriteError(f"SparseToDense with the default {default}, not {missing}")
        return self._value(op.inputs[2])

    def _cast(self, op: tf.Operation) -> Value:
        """A float64 is carried as what it was made of, an int64 or a float32."""
        [value], source, target = self._inputs(op), op.get_attr("SrcT"), op.get_attr("DstT")
        if source == tf.float64 and target != tf.float32:
            raise RewriteError(f"Cast of float64 to {target.name}")
        return value if target == tf.float64 else tf.cast(value, target)

    def _split(self, op: tf.Operation) -> list[tf.Tensor]:
        """``Split``, which TFLite has not for int64: slices."""
        value, parts, place = self._inputs(op)[1], op.get_attr("num_split"), _constant_value(op.inputs[0])
        if place is None:
            raise RewriteError("Split along an axis that is computed")
        axis = int(place)
        width = value.shape[axis] // parts
        around = (slice(None),) * (axis % value.shape.rank)
        return [value[(*around, slice(part * width, (part + 1) * width))] for part in range(parts)]

    def _upper_bound(self, op: tf.Operation) -> Value:
        """``UpperBound``: how many boundaries, [1, B], are at most each value, [1, N]."""
        if op.get_attr("T") == tf.float64:
            raise RewriteError("UpperBound of float64")
        boundaries, values = self._inputs(op)
        reached = values[:, :, tf.newaxis] >= boundaries[:, tf.newaxis, :]
        return tf.reduce_sum(tf.cast(reached, op.get_attr("out_type")), axis=2)

    def _filled(self, op: tf.Operation) -> Value:
        """``ZerosLike`` and ``OnesLike``: all shapes are known, so this is a constant."""
        [value] = self._inputs(op)
        return tf.fill(value.shape, tf.constant(int(op.type == "OnesLike"), value.dtype))

    def _look_up(self, op: tf.Operation) -> Value:
        table, keys, default = (self._value(each) for each in op.inputs)
        assert isinstance(table, Table)
        words = table.keys(op.get_attr("Tin"))
        matches = _matches(keys, words)
        # One more match, behind all others, stands for a value that the vocabulary does not hold.
        matches = tf.pad(tf.cast(matches, tf.int32), [[0, 0], [0, 1]], constant_values=1)
        index = tf.argmax(matches, axis=1, output_type=tf.int64)[:, tf.newaxis]
        return tf.where(index < len(words), index, tf.cast(default, tf.int64))

    def _table_size(self, op: tf.Operation) -> Value:
        table = self._value(op.inputs[0])
        assert isinstance(table, Table)
        with tf.init_scope():
            return tf.constant(tf.raw_ops.LookupTableSizeV2(table_handle=table.handle).numpy(), tf.int64)

    def _as_string(self, op: tf.Operation) -> Value:
        if op.inputs[0].dtype != tf.int64 or op.get_attr("width") > 0:
            raise RewriteError(f"AsString of {op.inputs[0].dtype.name}, or to a fixed width")
        return Text(decimal_text(self._inputs(op)[0][:, 0]))

    def _hash_bucket(self, op: tf.Operation) -> Value:
        """``StringToHashBucketFast``: all of the graph's at once, since each takes two hundred operators."""
        if op.get_attr("num_buckets") == 1:
            return tf.zeros([1, 1], tf.int64)
        letters = self._letters(op)
        if op.name not in self._hashed:
            waiting, self._hashes = self._hashes, ()  # a hash of what was made of a hash is on its own
            texts = {op.name: letters} | {
                each.name: text for each in waiting if (text := self._letters_or_none(each)) is not None
            }
            buckets = {each.name: each.get_attr("num_buckets") for each in (op, *waiting)}
            indices = hash_bucket(tf.concat(list(texts.values()), axis=0), [buckets[name] for name in texts])
            self._hashed |= {name: indices[place : place + 1, tf.newaxis] for place, name in enumerate(texts)}
        return self._hashed[op.name]

    def _letters_or_none(self, op: tf.Operation) -> tf.Tensor | None:
        try:
            return self._letters(op)
        except RewriteError:
            return None

    def _letters(self, op: tf.Operation) -> tf.Tensor:
        """The bytes of what is hashed; int32 [1, 64]."""
        value = self._value(op.inputs[0])
        if not isinstance(value, Text):
            raise RewriteError(f"{op.type} of a string that is computed")
        return value.letters

    def _equal(self, op: tf.Operation) -> Value:
        if op.get_attr("T") == tf.float64:
            raise RewriteError(f"{op.type} of float64")
        values = [self._value(each) for each in op.inputs]
        texts = [each for each in values if isinstance(each, Text)]
        if not texts:
            return _emit(op, values)
        words = next((word for each in op.inputs if (word := _constant_value(each)) is not None), None)
        if words is None:
            raise RewriteError(f"{op.type} of two strings that are computed")
        matches = _matches(texts[0], np.reshape(words, [-1]))
        return matches if op.type == "Equal" else tf.logical_not(matches)

    def _floor_mod(self, op: tf.Operation) -> Value:
        """``FloorMod``: in float64 only of float32 numbers, by what float32 holds."""
        numbers, modulus = self._inputs(op)[0], _constant_value(op.inputs[1])
        if modulus is None:
            raise RewriteError("FloorMod by a number that is computed")
        if numbers.dtype.as_numpy_dtype(modulus) != modulus or op.inputs[0].dtype.is_integer < numbers.dtype.is_integer:
            raise RewriteError(f"FloorMod of {numbers.dtype.name} by {modulus} in {op.inputs[0].dtype.name}")
        return tf.math.floormod(numbers, tf.constant(modulus, numbers.dtype))


_REWRITES: dict[str, Callable[[Walk, Any], Value | list[tf.Tensor]]] = {
    "AsString": Walk._as_string,
    "Cast": Walk._cast,
    "Const": Walk._constant,
    "Equal": Walk._equal,
    "FloorMod": Walk._floor_mod,
    "Identity": Walk._same,
    "LookupTableFindV2": Walk._look_up,
    "LookupTableSizeV2": Walk._table_size,
    "NotEqual": Walk._equal,
    "OnesLike": Walk._filled,
    "Placeholder": Walk._placeholder,
    "PlaceholderWithDefault": Walk._same,
    "SparseToDense": Walk._dense,
    "Split": Walk._split,
    "StringToHashBucketFast": Walk._hash_bucket,
    "UpperBound": Walk._upper_bound,
    "ZerosLike": Walk._filled,
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
    value: np.ndarray | None = tf.get_static_value(behind_identities(tensor))
    return value


def behind_identities(tensor: tf.Tensor) -> tf.Tensor:
    """What a tensor was before operators that change nothing."""
    while tensor.op.type in ("Identity", "PlaceholderWithDefault"):
        tensor = tensor.op.inputs[0]
    return tensor
