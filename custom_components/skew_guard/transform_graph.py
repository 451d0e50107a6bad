"""Checks that the graph inside a model is the graph that Transform saved."""

import collections
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, function_pb2, node_def_pb2, tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from artifacts.names import SAVED_MODEL_FILE
from artifacts.nodes.skew import Skew
from custom_components.skew_guard.report import SkewError

ASSETS_FOLDER = "assets"
TRANSFORM_SIGNATURE = "serving_default"
SHOWN_DIGITS = 12


class SavedModelFunctions:
    """The functions of a SavedModel and the calls between them."""

    def __init__(self, directory: Path) -> None:
        saved_model = saved_model_pb2.SavedModel.FromString((directory / SAVED_MODEL_FILE).read_bytes())
        self._graph: meta_graph_pb2.MetaGraphDef = saved_model.meta_graphs[0]
        self._functions = {function.signature.name: function for function in self._graph.graph_def.library.function}
        self.signatures = [name for name in sorted(self._graph.signature_def) if not name.startswith("__")]

    def called_by(self, signature: str) -> list[str]:
        """Functions that a signature's wrapper calls directly."""
        return _callees(self._functions[self._wrapper(signature)])

    def constants(self, signature: str) -> collections.Counter[str]:
        """Digests of the constants that a signature captures. The results of Transform's analyzers are among them."""
        objects = self._graph.object_graph_def
        nodes = {node.name: node for node in self._graph.graph_def.node}
        bound = [objects.nodes[index] for index in objects.concrete_functions[self._wrapper(signature)].bound_inputs]
        names = [each.constant.operation for each in bound if each.WhichOneof("kind") == "constant"]
        return collections.Counter(_tensor_digest(nodes[name].attr["value"].tensor) for name in names)

    def reached_by(self, signature: str) -> set[str]:
        """All functions that a signature calls, directly or indirectly."""
        reached: set[str] = set()
        pending = self.called_by(signature)
        while pending:
            name = pending.pop()
            if name not in reached:
                reached.add(name)
                pending += _callees(self._functions[name])
        return reached

    def _wrapper(self, signature: str) -> str:
        output = next(iter(self._graph.signature_def[signature].outputs.values())).name.partition(":")[0]
        return next(node.attr["f"].func.name for node in self._graph.graph_def.node if node.name == output)

    @functools.cache  # noqa: B019 - lives no longer than the check
    def digest(self, name: str) -> str:
        """SHA-256 of a function's nodes. Functions that it calls are identified by their digest, not by their name."""
        function = function_pb2.FunctionDef()
        function.CopyFrom(self._functions[name])
        function.signature.name = ""
        _rename_arguments(function)
        for node in function.node_def:
            for reference in _references(node):
                if reference.name in self._functions:
                    reference.name = self.digest(reference.name)
        return hashlib.sha256(function.SerializeToString(deterministic=True)).hexdigest()


def check_graph(transform_dir: Path, model_dir: Path) -> str:
    """Checks that every signature of a model calls the function that Transform saved, with the same constants.

    Args:
        transform_dir: Transform's SavedModel (``transform_fn``).
        model_dir: The exported SavedModel.

    Returns:
        Digest of the function and its constants.

    Raises:
        SkewError: A signature does not call the function, or captures other constants.
    """
    transform, model = SavedModelFunctions(transform_dir), SavedModelFunctions(model_dir)
    [function] = transform.called_by(TRANSFORM_SIGNATURE)
    expected, constants = transform.digest(function), transform.constants(TRANSFORM_SIGNATURE)
    for signature in model.signatures:
        reached = {model.digest(name) for name in model.reached_by(signature)}
        if expected not in reached:
            shown = f"Transform's function {expected[:SHOWN_DIGITS]}"
            raise SkewError(Skew("graph", signature, expected=shown, found="a graph without it"))
        if missing := constants - model.constants(signature):
            shown = f"{constants.total()} constants computed by Transform's analyzers"
            found = f"other values for {missing.total()} of them"
            raise SkewError(Skew("graph", signature, expected=shown, found=found))
    return hashlib.sha256("".join([expected, *sorted(constants.elements())]).encode()).hexdigest()


def check_vocabularies(transform_dir: Path, model_dir: Path) -> dict[str, str]:
    """Checks that a model contains Transform's vocabulary files, byte for byte.

    Returns:
        SHA-256 by file name.

    Raises:
        SkewError: A file is missing, unexpected or different.
    """
    expected, found = _digests(transform_dir / ASSETS_FOLDER), _digests(model_dir / ASSETS_FOLDER)
    for name in sorted({*expected, *found}):
        if expected.get(name) != found.get(name):
            sides = [side.get(name, "no such file")[:SHOWN_DIGITS] for side in (expected, found)]
            raise SkewError(Skew("vocabulary", name, expected=sides[0], found=sides[1]))
    return expected


def _rename_arguments(function: function_pb2.FunctionDef) -> None:
    """Numbers the arguments. TensorFlow names captured constants by how many tensors the process has made before."""
    names = {argument.name: f"argument_{place}" for place, argument in enumerate(function.signature.input_arg)}
    for argument in function.signature.input_arg:
        argument.name = names[argument.name]
    for node in function.node_def:
        node.input[:] = [names.get(each, each) for each in node.input]
    for output, value in function.ret.items():
        function.ret[output] = names.get(value, value)
    for attributes in function.arg_attr.values():
        attributes.attr.pop("_user_specified_name", None)


def _callees(function: function_pb2.FunctionDef) -> list[str]:
    return [reference.name for node in function.node_def for reference in _references(node) if reference.name]


def _references(node: node_def_pb2.NodeDef) -> Iterator[attr_value_pb2.NameAttrList]:
    """Yields a node's references to functions. A ``Case`` has a list of them, one per branch."""
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func
        yield from value.list.func


def _tensor_digest(tensor: tensor_pb2.TensorProto) -> str:
    array = tf.make_ndarray(tensor)
    return hashlib.sha256(f"{array.dtype}{array.shape}{array.tolist()}".encode()).hexdigest()


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.glob("*") if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
