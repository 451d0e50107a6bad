"""A servable: one version of a model, loaded as a SavedModel in its own TensorFlow session.

A session has three advantages over ``tf.saved_model.load``. It loads TensorFlow 1 models, it accepts feeds whose shape
differs from the signature's, and a call costs half as much as one of TensorFlow 2's Python functions.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from absl import logging
from numpy.typing import NDArray
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2

from serving.errors import Code, ServingError, from_tensorflow, invalid_argument
from serving.models.batching import Batching, batched_signature
from serving.models.cpu_affinity import all_cpus
from serving.models.input_shapes import column_inputs, shape_mistakes

Signature: TypeAlias = meta_graph_pb2.SignatureDef
TAG = "serve"
INIT_OP = "__saved_model_init_op"
MAX_CALLABLES = 64
CALLERS_THREAD = -1  # saves two thread switches per request


class Servable:
    """A loaded version of a model.

    Attributes:
        name: Name of the model.
        version: Number of the version.
        path: Folder of the SavedModel.
        signatures: Its signatures by key.
    """

    def __init__(
        self,
        name: str,
        version: int,
        path: Path,
        batching: Batching | None = None,
        on_queued: Callable[[float], None] = lambda _seconds: None,
        session_config: config_pb2.ConfigProto | None = None,
    ) -> None:
        """Loads the version.

        Args:
            name: Name of the model.
            version: Number of the version.
            path: Folder of the SavedModel.
            batching: Batching parameters, or ``None`` to run each request separately.
            on_queued: Called with the time in seconds that a request spent in the batching queue.
            session_config: Configuration of the TensorFlow session, or ``None`` for the defaults.

        Raises:
            ServingError: The SavedModel cannot be loaded.
        """
        self.name, self.version, self.path, self._on_queued = name, version, path, on_queued
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=session_config)
        try:
            with self._session.graph.as_default():
                meta_graph = tf.compat.v1.saved_model.load(self._session, [TAG], str(path))
            self.signatures: dict[str, Signature] = dict(meta_graph.signature_def)
            self._columns = {key: column_inputs(signature) for key, signature in self.signatures.items()}
            # By signature key: the output tensors to fetch, which batching replaces by merged ones.
            self._outputs = {key: _names(signature.outputs) for key, signature in self.signatures.items()}
            self._queue_times: dict[str, str] = {}  # by key of a batched signature: the tensor of the time in the queue
            if batching:
                self._batch(batching)
        except tf.errors.OpError as error:
            self._session.close()
            raise from_tensorflow(error) from error
        except Exception as error:  # a damaged file can raise anything
            self._session.close()
            raise ServingError(Code.INTERNAL, f"{path}: {error}") from error
        self._callables: dict[tuple[str, tuple[str, ...]], _Callable] = {}
        self._lock = threading.Lock()

    def run(self, key: str, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Runs a signature.

        Args:
            key: Key of the signature.
            inputs: All inputs by name. An input of the shape [N, 1] may also have the shape [N].
            outputs: Names of the outputs to return.

        Returns:
            The outputs by name.

        Raises:
            ServingError: TensorFlow rejects the inputs or fails.
        """
        try:
            names = tuple(sorted(outputs))
            feeds = {name: inputs[name] for name in sorted(inputs)}
            for name in self._columns[key]:
                if feeds[name].ndim == 1:
                    feeds[name] = feeds[name][:, np.newaxis]
            values = self._callable(key, names)(*feeds.values())
        except tf.errors.OpError as error:
            found = from_tensorflow(error)
            raise ServingError(found.code, shape_mistakes(self.signatures[key], inputs) + found.message) from error
        except (TypeError, ValueError) as error:  # numpy cannot convert a feed
            raise invalid_argument(str(error)) from error
        if key in self._queue_times:
            self._on_queued(max(0.0, float(values.pop())))
        return dict(zip(names, map(_array, values), strict=True))

    def close(self) -> None:
        """Frees the model. No request may be running."""
        self._callables.clear()
        self._session.close()

    def _batch(self, batching: Batching) -> None:
        for key, signature in self.signatures.items():
            if key == INIT_OP or not signature.inputs:
                continue
            try:
                self._outputs[key], self._queue_times[key] = batched_signature(self._session.graph, signature, batching)
            except (ValueError, TypeError, tf.errors.OpError) as error:
                logging.warning("%s/%d: signature %s cannot be batched: %s", self.name, self.version, key, error)

    def _callable(self, key: str, outputs: tuple[str, ...]) -> "_Callable":
        existing = self._callables.get((key, outputs))
        if existing:
            return existing
        with self._lock:
            if (key, outputs) not in self._callables:
                options = config_pb2.CallableOptions()
                signature = self.signatures[key]
                options.feed.extend(signature.inputs[name].name for name in sorted(signature.inputs))
                options.fetch.extend(self._outputs[key][name] for name in outputs)
                options.fetch.extend([self._queue_times[key]] if key in self._queue_times else [])
                options.run_options.inter_op_thread_pool = CALLERS_THREAD
                if len(self._callables) >= MAX_CALLABLES:  # each output_filter needs its own
                    partial = (each for each in self._callables if len(each[1]) < len(self._outputs[each[0]]))
                    del self._callables[next(partial)]
                function = self._session._make_callable_from_options(options)
                self._callables[key, outputs] = _Callable(function, batched=key in self._queue_times)
            return self._callables[key, outputs]


class _Callable:
    """A session call. The first one runs alone, because each concurrent first call would prepare the graph again."""

    def __init__(self, function: Callable[..., list[NDArray[Any]]], batched: bool) -> None:
        self._function = function
        self._batched = batched
        self._lock = threading.Lock()
        self._prepared = False

    def __call__(self, *feeds: NDArray[Any]) -> list[NDArray[Any]]:
        if self._prepared and self._batched:
            return self._function(*feeds)
        with all_cpus():  # without batching, the model runs in this thread
            if self._prepared:
                return self._function(*feeds)
            with self._lock:
                try:
                    return self._function(*feeds)
                finally:
                    self._prepared = True


def _array(value: Any) -> NDArray[Any]:
    """Returns a fetched value as an array. TensorFlow's Python API returns scalars as numpy scalars or ``bytes``."""
    if isinstance(value, np.ndarray):
        return value
    return np.array(value, object if isinstance(value, bytes) else None)


def _names(tensors: Mapping[str, meta_graph_pb2.TensorInfo]) -> dict[str, str]:
    return {name: info.name for name, info in tensors.items()}
