"""Finds which inputs the tensors of a Transform graph depend on, in a time that grows linearly with the graph.

This module replaces functions of TensorFlow Transform. Whenever it loads a graph, it walks back from each output to the
inputs, and later compares the inputs of each output with those that it was given. Features of one kind are transformed
together, so each of them depends on all columns of its kind. With 1,500 columns, every load would take a minute. It
also compares all inputs of the graph with all columns for each analyzer, and makes twenty operators for each column
that is not given.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.python.util.object_identity import ObjectIdentitySet
from tensorflow_transform import graph_tools, tf2_utils
from tensorflow_transform.saved import saved_transform_io_v2
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader


def inputs_by_output(outputs: Mapping[str, tf.Tensor | tf.SparseTensor]) -> dict[str, ObjectIdentitySet]:
    """Returns the placeholders that each output depends on, other than through control dependencies.

    Outputs that depend on the same placeholders share one set.

    Args:
        outputs: Outputs of one graph, by name.
    """
    placeholders: list[tf.Tensor] = []
    masks: dict[tf.Operation, int] = {}  # bit n is set if the operator depends on placeholder n
    sources: dict[int, ObjectIdentitySet] = {}
    result = {}
    for name, output in outputs.items():
        mask = 0
        for tensor in tf.nest.flatten(output, expand_composites=True):
            mask |= _mask(tensor.op, masks, placeholders)
        if mask not in sources:
            sources[mask] = ObjectIdentitySet(placeholders[place] for place in _bits(mask))
        result[name] = sources[mask]
    return result


def columns_before(
    operators: Iterable[tf.Operation], inputs: Mapping[str, tf.Tensor | tf.SparseTensor], control: bool = True
) -> list[str]:
    """Returns the inputs that any of the operators depends on.

    Args:
        operators: Operators of one graph.
        inputs: Inputs of the graph, by column.
        control: Whether control dependencies count.
    """
    sources = graph_tools.retrieve_sources(operators, ignore_control_dependencies=not control)
    return [
        name
        for name, value in inputs.items()
        if any(tensor in sources for tensor in tf.nest.flatten(value, expand_composites=True))
    ]


class _ColumnsOfTensors:
    """The columns that tensors depend on, found once for several calls with the same tensors.

    TFT asks for each output of an analyzer, and the one of all vocabularies has an output per column.
    """

    def __init__(self) -> None:
        self._last: tuple[Any, set[Any], set[str]] = None, set(), set()

    def __call__(self, tensors: Iterable[tf.Tensor], inputs: Mapping[str, tf.Tensor | tf.SparseTensor]) -> set[str]:
        given = {tensor.ref() for tensor in tensors}
        if self._last[0] is not inputs or self._last[1] != given:
            columns = columns_before([each.deref().op for each in given], inputs, control=False)
            self._last = inputs, given, set(columns)
        return set(self._last[2])


def _mask(op: tf.Operation, masks: dict[tf.Operation, int], placeholders: list[tf.Tensor]) -> int:
    """The mask of an operator. Completes ``masks`` and ``placeholders``."""
    stack = [op]
    while stack:
        current = stack[-1]
        before = [tensor.op for tensor in current.inputs]
        pending = [each for each in before if each not in masks]
        if current not in masks and pending:
            stack += pending
            continue
        stack.pop()
        if current not in masks:
            masks[current] = 0
            if current.type == "Placeholder":
                masks[current] = 1 << len(placeholders)
                placeholders += current.outputs
            for each in before:
                masks[current] |= masks[each]
    return masks[op]


def _bits(mask: int) -> Iterator[int]:
    """Yields the places of the bits that are set, in a time that depends on their number."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def _feeds(loader: SavedModelLoader, unfed: Iterable[str]) -> ObjectIdentitySet:
    """The tensors that are fed, given the columns that are not."""
    inputs = [loader._structured_inputs[name] for name in unfed]
    return ObjectIdentitySet(loader._func_graph.inputs).difference(tf.nest.flatten(inputs, expand_composites=True))


def _fetches(loader: SavedModelLoader, feeds: Iterable[tf.Tensor]) -> dict[str, tf.Tensor | tf.SparseTensor]:
    """The outputs that depend on no other placeholders than ``feeds`` and the graph's constants and tables."""
    known = ObjectIdentitySet([*feeds, *loader._func_graph.internal_captures])
    sources = loader._output_to_inputs_map
    distinct = {id(each): each for each in sources.values()}
    computable = {key: all(tensor in known for tensor in each) for key, each in distinct.items()}
    return {name: output for name, output in loader._structured_outputs.items() if computable[id(sources[name])]}


def _missing_inputs(
    inputs: Mapping[str, tf.Tensor | tf.SparseTensor], batch_size: Any, missing: Collection[str] | None = None
) -> dict[str, tf.Tensor | tf.SparseTensor]:
    """Placeholders for columns that are not given. Those of one type share theirs."""
    types = {name: (type(inputs[name]), inputs[name].dtype, str(inputs[name].shape)) for name in missing or inputs}
    first = {each: name for name, each in reversed(types.items())}
    made = supply_missing_inputs(inputs, batch_size, list(first.values()))
    return {name: made[first[each]] for name, each in types.items()}


supply_missing_inputs = tf2_utils.supply_missing_inputs
tf2_utils.supply_missing_inputs = _missing_inputs
saved_transform_io_v2._get_output_to_inputs_map = inputs_by_output
SavedModelLoader._get_feeds, SavedModelLoader._get_fetches = _feeds, _fetches
graph_tools._retrieve_source_keys = _ColumnsOfTensors()
