"""A version loaded from ``model.tflite`` with LiteRT, for ``--prefer_tflite_model``."""

import contextlib
import os
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from tensorflow.core.protobuf import meta_graph_pb2

from artifacts.names import TFLITE_FILE
from serving.errors import Code, ServingError, invalid_argument
from serving.models.input_shapes import column_inputs, shape_mistakes
from serving.models.servable import Signature

DEFAULT_SIGNATURE, METHOD = "serving_default", "tensorflow/serving/predict"
Details: TypeAlias = Mapping[str, Mapping[str, Any]]  # by name: LiteRT's description of a tensor
Runner: TypeAlias = Callable[..., dict[str, NDArray[Any]]]


class TfliteServable:
    """A version of a TFLite model. See :class:`serving.models.servable.LoadedModel` for its attributes.

    LiteRT's interpreters run one request at a time, so there is one per CPU.
    """

    def __init__(self, name: str, version: int, path: Path) -> None:
        """Loads the version.

        Args:
            name: Name of the model.
            version: Number of the version.
            path: Folder with ``model.tflite``.

        Raises:
            ServingError: LiteRT cannot load the model.
        """
        self.name, self.version, self.path = name, version, path
        self._idle: queue.LifoQueue[dict[str, Runner] | None] = queue.LifoQueue()
        try:
            self._content = (path / TFLITE_FILE).read_bytes()
            runners, self.signatures = _load(self._content)
        except (OSError, ValueError, RuntimeError, TypeError) as error:
            raise ServingError(Code.INTERNAL, f"{path / TFLITE_FILE}: LiteRT cannot load it: {error}") from error
        for _ in range(len(os.sched_getaffinity(0)) - 1):
            self._idle.put(None)  # loaded once it is needed
        self._idle.put(runners)

    def run(self, key: str, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Runs a signature. See :meth:`serving.models.servable.Servable.run`.

        Raises:
            ServingError: LiteRT rejects the inputs or fails.
        """
        signature = self.signatures[key]
        feeds = {name: np.asarray(array) for name, array in inputs.items()}
        for name in column_inputs(signature):
            if feeds[name].ndim == 1:
                feeds[name] = feeds[name][:, np.newaxis]
        try:
            with self._runners() as runners:
                values = runners[key](**feeds)
        except (ValueError, RuntimeError) as error:
            raise invalid_argument(
                f"{shape_mistakes(signature, inputs)}LiteRT cannot run the model: {error}"
            ) from error
        return {name: np.asarray(values[name]) for name in sorted(outputs)}

    def close(self) -> None:
        """Frees the model. No request may be running."""
        while not self._idle.empty():
            self._idle.get()

    @contextlib.contextmanager
    def _runners(self) -> Iterator[dict[str, Runner]]:
        runners = self._idle.get()
        try:
            if runners is None:
                runners, _ = _load(self._content)
            yield runners
        finally:
            self._idle.put(runners)


def _load(content: bytes) -> tuple[dict[str, Runner], dict[str, Signature]]:
    interpreter = Interpreter(model_content=content, num_threads=1)
    runners: dict[str, Runner] = {}
    signatures: dict[str, Signature] = {}
    for key in interpreter.get_signature_list():
        runner = interpreter.get_signature_runner(key)
        inputs, outputs = runner.get_input_details(), runner.get_output_details()
        # LiteRT's runner takes the inputs as keyword arguments of a method, so none can be named self.
        runners[key] = _plain_runner(interpreter, inputs, outputs) if "self" in inputs else runner
        signatures[key] = _signature(inputs, outputs)
    if not signatures:  # as in TensorFlow Serving, the names of the tensors are then those of the inputs and outputs
        inputs = {each["name"]: each for each in interpreter.get_input_details()}
        outputs = {each["name"]: each for each in interpreter.get_output_details()}
        runners[DEFAULT_SIGNATURE] = _plain_runner(interpreter, inputs, outputs)
        signatures[DEFAULT_SIGNATURE] = _signature(inputs, outputs)
    return runners, signatures


def _plain_runner(interpreter: Interpreter, inputs: Details, outputs: Details) -> Runner:
    def run(**feeds: NDArray[Any]) -> dict[str, NDArray[Any]]:
        for name, array in feeds.items():
            interpreter.resize_tensor_input(inputs[name]["index"], array.shape)
        interpreter.allocate_tensors()
        for name, array in feeds.items():
            interpreter.set_tensor(inputs[name]["index"], array)
        interpreter.invoke()
        return {name: interpreter.get_tensor(details["index"]) for name, details in outputs.items()}

    return run


def _signature(inputs: Details, outputs: Details) -> Signature:
    return Signature(
        inputs={name: _info(details) for name, details in inputs.items()},
        outputs={name: _info(details) for name, details in outputs.items()},
        method_name=METHOD,
    )


def _info(details: Mapping[str, Any]) -> meta_graph_pb2.TensorInfo:
    shape = tf.TensorShape([size if size >= 0 else None for size in details["shape_signature"].tolist()])
    dtype = tf.dtypes.as_dtype(details["dtype"])
    return meta_graph_pb2.TensorInfo(name=details["name"], dtype=dtype.as_datatype_enum, tensor_shape=shape.as_proto())
