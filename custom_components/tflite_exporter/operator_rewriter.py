"""Rewrites the operators of the saved Transform graph into operators that TFLite has.

The graph is walked from each transformed feature to its inputs. Most operators are copied. Those that TFLite lacks are
replaced with equivalents, for which indices are exact and numbers are exact to float32. If there is no replacement, the
error names the feature and the operator.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from custom_components.tflite_exporter.farmhash import TEXT_BYTES, hash_bucket
from custom_components.tflite_exporter.graph_helpers import (
    NARROWED,
    SUPPORTED,
    RewriteError,
    as_float32,
    constant_value,
    copy_operator,
)
from custom_components.tflite_exporter.strings import (
    TEXT,
    Columns,
    Decimals,
    PrefixedWords,
    Table,
    Value,
    as_columns,
    matches_of,
    place,
    words_by_prefix,
)
from models.transforms.columns import MISSING

PART_BITS = 16  # of a quotient that is exact in float32


class OperatorRewriter:
    """Rewrites the operators of one graph, each of them once."""

    def __init__(self, known: dict[str, Value], hashes: Sequence[tf.Operation]) -> None:
        """Prepares a walk over the graph.

        Args:
            known: Values of the graph's placeholders, by name.
            hashes: All operators of the graph that hash a string.
        """
        self._known = known
        self._hashes = hashes
        self._values: dict[str, Value] = {}
        self._hashed: dict[str, tf.Tensor] = {}

    def feature(self, name: str, output: tf.Tensor) -> tf.Tensor:
        """Rewrites all operators that a transformed feature depends on.

        Args:
            name: Name of the feature.
            output: The feature in the Transform graph.

        Returns:
            The rewritten feature, [1, width].

        Raises:
            RewriteError: The feature depends on an operator that TFLite does not have.
        """
        try:
            value = self._value(output)
            if not isinstance(value, tf.Tensor) or value.dtype == tf.string:
                raise RewriteError("a string as a transformed feature")
            return tf.reshape(value, [1, -1])
        except RewriteError as error:
            raise RewriteError(
                f"feature '{name}': TFLite's builtin operators cannot express {error}; remove the feature, "
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
            return self._copy(op)
        except (tf.errors.OpError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, RewriteError):
                raise
            raise RewriteError(f"{op.type} ({(str(error).splitlines() or [''])[0]})") from error

    def _copy(self, op: tf.Operation) -> tf.Tensor:
        """The same operator, if TFLite has it."""
        if any(each.dtype == tf.float64 for each in (*op.inputs, *op.outputs)):
            if op.type not in NARROWED:
                raise RewriteError(f"{op.type} of float64")
            return copy_operator(op, [as_float32(each) for each in self._inputs(op)])
        if op.type not in SUPPORTED:
            raise RewriteError(op.type)
        if any(each.dtype == tf.string for each in op.inputs):
            raise RewriteError(f"{op.type} of strings")
        return copy_operator(op, self._inputs(op))

    def _inputs(self, op: tf.Operation) -> list[tf.Tensor]:
        """The inputs of an operator. None of them may be a string that was replaced with its bytes."""
        values = [self._value(each) for each in op.inputs]
        if not all(isinstance(each, tf.Tensor) for each in values):
            raise RewriteError(f"{op.type} of strings that are also hashed")
        return values

    def _placeholder(self, op: tf.Operation) -> Value:
        if op.name in self._known:
            return self._known[op.name]
        raise RewriteError("an operator that reads the indices of a sparse column")

    def _same(self, op: tf.Operation) -> Value:
        return self._value(op.inputs[0])

    def _concat(self, op: tf.Operation) -> Value:
        """``ConcatV2``, which TFLite does not have for strings. They stay separate."""
        if op.outputs[0].dtype != tf.string:
            return self._copy(op)
        return Columns(tuple(part for each in op.inputs[:-1] for part in as_columns(self._value(each)).parts))

    def _constant(self, op: tf.Operation) -> Value:
        array = tf.make_ndarray(op.get_attr("value"))
        return tf.constant(array.astype(np.float32) if array.dtype == np.float64 else array)

    def _dense(self, op: tf.Operation) -> Value:
        """``SparseToDense``: the input is already dense, with a placeholder for a missing value."""
        default, dtype = constant_value(op.inputs[3]), op.inputs[2].dtype
        if dtype not in MISSING:
            raise RewriteError(f"SparseToDense of {dtype.name}")
        missing = tf.get_static_value(tf.constant(MISSING[dtype], dtype))
        if repr(default) != repr(missing):  # of NaN too
            raise RewriteError(f"SparseToDense with the default {default}, not {missing}")
        return self._value(op.inputs[2])

    def _cut(self, op: tf.Operation) -> list[Any]:
        """``SparseSlice`` of a column of lists: the input is dense, and has as many values as are read."""
        values = self._value(op.inputs[1])
        return [values] * len(op.outputs)  # only the values are read

    def _cast(self, op: tf.Operation) -> Value:
        """``Cast``: a float64 is represented by the int64 or float32 that it was cast from."""
        [value], source, target = self._inputs(op), op.get_attr("SrcT"), op.get_attr("DstT")
        if source == tf.float64 and target != tf.float32:
            raise RewriteError(f"Cast of float64 to {target.name}")
        return value if target == tf.float64 else tf.cast(value, target)

    def _split(self, op: tf.Operation) -> list[tf.Tensor]:
        """``Split``, replaced with slices, since TFLite does not have it for int64."""
        value, parts, place = self._inputs(op)[1], op.get_attr("num_split"), constant_value(op.inputs[0])
        if place is None:
            raise RewriteError("Split along a computed axis")
        axis = int(place)
        width = value.shape[axis] // parts
        around = (slice(None),) * (axis % value.shape.rank)
        return [value[(*around, slice(part * width, (part + 1) * width))] for part in range(parts)]

    def _upper_bound(self, op: tf.Operation) -> Value:
        """``UpperBound``: the number of boundaries, [1, B], that are less than or equal to each value, [1, N]."""
        if op.get_attr("T") == tf.float64:
            raise RewriteError("UpperBound of float64")
        boundaries, values = self._inputs(op)
        reached = values[:, :, tf.newaxis] >= boundaries[:, tf.newaxis, :]
        return tf.reduce_sum(tf.cast(reached, op.get_attr("out_type")), axis=2)

    def _filled(self, op: tf.Operation) -> Value:
        """``ZerosLike`` and ``OnesLike``: all shapes are known, so these are constants."""
        [value] = self._inputs(op)
        return tf.fill(value.shape, tf.constant(int(op.type == "OnesLike"), value.dtype))

    def _look_up(self, op: tf.Operation) -> Value:
        table, keys, default = (self._value(each) for each in op.inputs)
        assert isinstance(table, Table)
        words = table.keys(op.get_attr("Tin"))
        if not isinstance(keys, PrefixedWords):
            return place(keys, words, 0, default)
        known = words_by_prefix(words)
        starts = dict(zip(known, np.cumsum([0, *map(len, known.values())]).tolist(), strict=False))
        columns = zip(keys.prefixes, keys.words.parts, strict=True)
        return tf.concat([place(column, known[each], starts[each], default) for each, column in columns], axis=1)

    def _join(self, op: tf.Operation) -> Value:
        """``StringJoin`` of a constant for each column and its words, which is only looked up."""
        if len(op.inputs) != 2 or op.inputs[0].op.type != "BroadcastTo":
            raise RewriteError("StringJoin")
        prefixes = constant_value(op.inputs[0].op.inputs[0])
        if prefixes is None:
            raise RewriteError("StringJoin of two computed strings")
        return PrefixedWords(tuple(prefixes.ravel().tolist()), as_columns(self._value(op.inputs[1])))

    def _table_size(self, op: tf.Operation) -> Value:
        table = self._value(op.inputs[0])
        assert isinstance(table, Table)
        with tf.init_scope():
            return tf.constant(tf.raw_ops.LookupTableSizeV2(table_handle=table.handle).numpy(), tf.int64)

    def _as_string(self, op: tf.Operation) -> Value:
        if op.inputs[0].dtype != tf.int64 or op.get_attr("width") > 0:
            raise RewriteError(f"AsString of {op.inputs[0].dtype.name}, or to a fixed width")
        return Decimals(self._inputs(op)[0])

    def _hash_bucket(self, op: tf.Operation) -> Value:
        """``StringToHashBucketFast``: hashes all strings of the graph at once, since a hash takes 200 operators."""
        if op.get_attr("num_buckets") == 1:
            return tf.zeros([1, op.inputs[0].shape[1]], tf.int64)
        byte_values = self._string_bytes(op)
        if op.name not in self._hashed:
            pending, self._hashes = self._hashes, ()  # a hash of a hashed value is computed separately
            texts = {op.name: byte_values} | {
                each.name: text for each in pending if (text := self._string_bytes_or_none(each)) is not None
            }
            buckets = {each.name: each.get_attr("num_buckets") for each in (op, *pending)}
            counts = [text.shape[0] for text in texts.values()]
            sizes = [buckets[name] for name, count in zip(texts, counts, strict=True) for _ in range(count)]
            indices = hash_bucket(tf.concat(list(texts.values()), axis=0), sizes)[tf.newaxis]
            ends = np.cumsum(counts).tolist()
            self._hashed |= {
                name: indices[:, end - count : end] for name, count, end in zip(texts, counts, ends, strict=True)
            }
        return self._hashed[op.name]

    def _decode(self, op: tf.Operation) -> Value:
        """``DecodePaddedRaw``: the first bytes of each string, followed by zeros."""
        count = constant_value(op.inputs[1])
        if op.get_attr("out_type") != tf.uint8 or count is None or count > TEXT_BYTES:
            raise RewriteError("DecodePaddedRaw to other types than bytes, or to a computed or large number of them")
        byte_values = self._string_bytes(op)[:, : int(count)]
        return tf.cast(tf.maximum(byte_values, 0), tf.uint8)[tf.newaxis]

    def _string_bytes_or_none(self, op: tf.Operation) -> tf.Tensor | None:
        try:
            return self._string_bytes(op)
        except RewriteError:
            return None

    def _string_bytes(self, op: tf.Operation) -> tf.Tensor:
        """The bytes of the strings that an operator reads, int32 [C, 64]."""
        parts = as_columns(self._value(op.inputs[0])).parts
        if not all(isinstance(each, TEXT) for each in parts):
            raise RewriteError(f"{op.type} of a computed string")
        return parts[0].byte_values if len(parts) == 1 else tf.concat([each.byte_values for each in parts], axis=0)

    def _equal(self, op: tf.Operation) -> Value:
        if op.get_attr("T") == tf.float64:
            raise RewriteError(f"{op.type} of float64")
        values = [self._value(each) for each in op.inputs]
        texts = [each for each in values if isinstance(each, TEXT)]
        if not texts:
            return copy_operator(op, values)
        words = next((word for each in op.inputs if (word := constant_value(each)) is not None), None)
        if words is None:
            raise RewriteError(f"{op.type} of two computed strings")
        matches = matches_of(texts[0], np.reshape(words, [-1]))
        return matches if op.type == "Equal" else tf.logical_not(matches)

    def _floor_div(self, op: tf.Operation) -> Value:
        """``FloorDiv``: TFLite has it for int32, and for int64 only the remainder."""
        numbers, divisor = self._inputs(op)
        if numbers.dtype == tf.int32:
            return copy_operator(op, [numbers, divisor])
        value = constant_value(op.inputs[1])
        if numbers.dtype != tf.int64 or value is None or value <= 0:
            raise RewriteError(f"FloorDiv of {numbers.dtype.name} by a computed or negative number")
        return _quotient(numbers, int(value))

    def _floor_mod(self, op: tf.Operation) -> Value:
        """``FloorMod``: of float64 only where the number and the modulus are float32 values."""
        numbers, modulus = self._inputs(op)[0], constant_value(op.inputs[1])
        if modulus is None:
            raise RewriteError("FloorMod by a computed number")
        if numbers.dtype.as_numpy_dtype(modulus) != modulus or op.inputs[0].dtype.is_integer < numbers.dtype.is_integer:
            raise RewriteError(f"FloorMod of {numbers.dtype.name} by {modulus} in {op.inputs[0].dtype.name}")
        return tf.math.floormod(numbers, tf.constant(modulus, numbers.dtype))


_REWRITES: dict[str, Callable[[OperatorRewriter, Any], Value | list[tf.Tensor]]] = {
    "AsString": OperatorRewriter._as_string,
    "Cast": OperatorRewriter._cast,
    "ConcatV2": OperatorRewriter._concat,
    "Const": OperatorRewriter._constant,
    "DecodePaddedRaw": OperatorRewriter._decode,
    "Equal": OperatorRewriter._equal,
    "FloorDiv": OperatorRewriter._floor_div,
    "FloorMod": OperatorRewriter._floor_mod,
    "Identity": OperatorRewriter._same,
    "LookupTableFindV2": OperatorRewriter._look_up,
    "LookupTableSizeV2": OperatorRewriter._table_size,
    "NotEqual": OperatorRewriter._equal,
    "OnesLike": OperatorRewriter._filled,
    "Placeholder": OperatorRewriter._placeholder,
    "PlaceholderWithDefault": OperatorRewriter._same,
    "SparseSlice": OperatorRewriter._cut,
    "SparseToDense": OperatorRewriter._dense,
    "Split": OperatorRewriter._split,
    "StringJoin": OperatorRewriter._join,
    "StringToHashBucketFast": OperatorRewriter._hash_bucket,
    "UpperBound": OperatorRewriter._upper_bound,
    "ZerosLike": OperatorRewriter._filled,
}


def _quotient(numbers: tf.Tensor, divisor: int) -> tf.Tensor:
    """Divides int64 by a positive constant and rounds down.

    A multiple of the divisor is divided exactly in float32 if the quotient has at most 16 bits. So the quotient is
    computed in parts of 16 bits, from the lowest one. For a negative number n, it is -1 minus that of -1 - n.
    """
    is_negative = numbers < 0
    size = tf.where(is_negative, -1 - numbers, numbers)
    rest = size - tf.math.floormod(size, tf.constant(divisor, tf.int64))
    result, unit, place = tf.zeros_like(numbers), divisor, 1
    while True:
        is_last = unit << PART_BITS > tf.int64.max
        part = rest if is_last else tf.math.floormod(rest, tf.constant(unit << PART_BITS, tf.int64))
        digits = tf.round(tf.cast(part, tf.float32) / tf.constant(unit, tf.float32))
        result += tf.cast(digits, tf.int64) * place
        if is_last:
            return tf.where(is_negative, -1 - result, result)
        rest, unit, place = rest - part, unit << PART_BITS, place << PART_BITS
