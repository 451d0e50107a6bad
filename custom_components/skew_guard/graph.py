"""Is the graph inside a model Transform's own?"""

import functools
import hashlib
from pathlib import Path

from tensorflow.core.framework import function_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from custom_components.skew_guard.report import Skew, SkewError

SAVED_MODEL, ASSETS = "saved_model.pb", "assets"
TRANSFORM_SIGNATURE = "serving_default"
DIGITS_SHOWN = 12


class Functions:
    """The functions of a SavedModel and who calls whom."""

    def __init__(self, directory: Path) -> None:
        saved_model = saved_model_pb2.SavedModel.FromString((directory / SAVED_MODEL).read_bytes())
        self._graph: meta_graph_pb2.MetaGraphDef = saved_model.meta_graphs[0]
        self._functions = {function.signature.name: function for function in self._graph.graph_def.library.function}
        self.signatures = [name for name in sorted(self._graph.signature_def) if not name.startswith("__")]

    def called_by(self, signature: str) -> list[str]:
        """Functions that a signature's wrapper calls itself."""
        outputs = self._graph.signature_def[signature].outputs.values()
        nodes = {output.name.partition(":")[0] for output in outputs}
        wrappers = [node.attr["f"].func.name for node in self._graph.graph_def.node if node.name in nodes]
        return [callee for wrapper in wrappers for callee in _callees(self._functions[wrapper])]

    def reached_by(self, signature: str) -> set[str]:
        """All functions that a signature calls, directly or not."""
        reached: set[str] = set()
        waiting = self.called_by(signature)
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting += _callees(self._functions[name])
        return reached

    @functools.cache  # noqa: B019 - as short-lived as the guard
    def digest(self, name: str) -> str:
        """SHA-256 over a function's nodes; functions that it calls count by their digest, not by their name."""
        function = function_pb2.FunctionDef()
        function.CopyFrom(self._functions[name])
        function.signature.name = ""
        for node in function.node_def:
            for value in node.attr.values():
                if value.HasField("func") and value.func.name in self._functions:
                    value.func.name = self.digest(value.func.name)
        return hashlib.sha256(function.SerializeToString(deterministic=True)).hexdigest()


def check_graph(transform_dir: Path, model_dir: Path) -> str:
    """Checks that every signature of a model runs the function that Transform saved, node for node.

    Args:
        transform_dir: Transform's SavedModel (``transform_fn``).
        model_dir: The exported SavedModel.

    Returns:
        Digest of the function.

    Raises:
        SkewError: A signature does not run it.
    """
    transform, model = Functions(transform_dir), Functions(model_dir)
    [function] = transform.called_by(TRANSFORM_SIGNATURE)
    expected = transform.digest(function)
    for signature in model.signatures:
        reached = {model.digest(name) for name in model.reached_by(signature)}
        if expected not in reached:
            shown = f"Transform's function {expected[:DIGITS_SHOWN]}"
            raise SkewError(Skew("graph", signature, expected=shown, found="a graph without it"))
    return expected


def check_vocabularies(transform_dir: Path, model_dir: Path) -> dict[str, str]:
    """Checks that a model carries Transform's vocabularies, byte for byte.

    Returns:
        SHA-256 by file name.

    Raises:
        SkewError: A file is missing, added, or differs.
    """
    expected, found = _digests(transform_dir / ASSETS), _digests(model_dir / ASSETS)
    for name in sorted({*expected, *found}):
        if expected.get(name) != found.get(name):
            sides = [side.get(name, "no such file")[:DIGITS_SHOWN] for side in (expected, found)]
            raise SkewError(Skew("vocabulary", name, expected=sides[0], found=sides[1]))
    return expected


def _callees(function: function_pb2.FunctionDef) -> list[str]:
    values = [value for node in function.node_def for value in node.attr.values()]
    return [value.func.name for value in values if value.HasField("func") and value.func.name]


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.glob("*") if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
