"""One version of a model: a SavedModel in a session of its own, called as TensorFlow Serving calls it.

A session, and not ``tf.saved_model.load``, since it takes models of TensorFlow 1 too, feeds whose shape differs from
the signature's, and costs half of a call through Python's side of TensorFlow 2.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from absl import logging
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2

from serving.errors import Code, ServingError, from_tensorflow, invalid
from serving.models import cpu_affinity as affinity
from serving.models.batching import Batching, batched_signature

Array: TypeAlias = np.ndarray[Any, Any]
Signature: TypeAlias = meta_graph_pb2.SignatureDef
TAG = "serve"
INIT_OP = "__saved_model_init_op"
MOST_CALLABLES = 64
CALLERS_THREAD = -1  # saves two hand-overs a request


class Servable:
    """A loaded version.

    Attributes:
        name: The model.
        version: The version.
        path: The SavedModel's folder.
        signatures: Those of the SavedModel, by key.
    """

    def __init__(
        self,
        name: str,
        version: int,
        path: Path,
        batching: Batching | None = None,
        waited: Callable[[float], None] = lambda _seconds: None,
        session: config_pb2.ConfigProto | None = None,
    ) -> None:
        """Loads it.

        Args:
            name: The model.
            version: The version.
            path: The SavedModel's folder.
            batching: How concurrent requests of a signature are merged; ``None`` runs each on its own.
            waited: Told the seconds that each request waited to be merged.
            session: How TensorFlow runs it; ``None`` leaves that to TensorFlow.

        Raises:
            ServingError: It cannot be loaded.
        """
        self.name, self.version, self.path, self._waited = name, version, path, waited
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=session)
        try:
            with self._session.graph.as_default():
                meta_graph = tf.compat.v1.saved_model.load(self._session, [TAG], str(path))
            self.signatures: dict[str, Signature] = dict(meta_graph.signature_def)
            # By signature key: the tensors to run instead of the signature's own.
            self._outputs = {key: _names(signature.outputs) for key, signature in self.signatures.items()}
            self._waits: dict[str, str] = {}  # by signature key: the tensor of the time until a request was merged
            if batching:
                self._batch(batching)
        except tf.errors.OpError as error:
            self._session.close()
            raise from_tensorflow(error) from error
        except Exception as error:  # a file can be wrong in more ways than TensorFlow has types for
            self._session.close()
            raise ServingError(Code.INTERNAL, f"{path}: {error}") from error
        self._callables: dict[tuple[str, tuple[str, ...]], _Callable] = {}
        self._lock = threading.Lock()

    def run(self, key: str, inputs: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """Runs a signature.

        Args:
            key: The signature's key.
            inputs: All of its inputs by name.
            outputs: Names of the outputs that are wanted.

        Raises:
            ServingError: What TensorFlow says of it.
        """
        try:
            names = tuple(sorted(outputs))
            values = self._callable(key, names)(*(inputs[name] for name in sorted(inputs)))
        except tf.errors.OpError as error:
            raise from_tensorflow(error) from error
        except (TypeError, ValueError) as error:  # of numpy, where a feed has the wrong form
            raise invalid(str(error)) from error
        if key in self._waits:
            self._waited(max(0.0, float(values.pop())))
        return dict(zip(names, values, strict=True))

    def close(self) -> None:
        """Frees what it holds; no request may be under way."""
        self._callables.clear()
        self._session.close()

    def _batch(self, batching: Batching) -> None:
        for key, signature in self.signatures.items():
            if key == INIT_OP or not signature.inputs:
                continue
            try:
                self._outputs[key], self._waits[key] = batched_signature(self._session.graph, signature, batching)
            except (ValueError, TypeError, tf.errors.OpError) as error:
                logging.warning("%s/%d: signature %s is not batched: %s", self.name, self.version, key, error)

    def _callable(self, key: str, outputs: tuple[str, ...]) -> "_Callable":
        known = self._callables.get((key, outputs))
        if known:
            return known
        with self._lock:
            if (key, outputs) not in self._callables:
                options = config_pb2.CallableOptions()
                signature = self.signatures[key]
                options.feed.extend(signature.inputs[name].name for name in sorted(signature.inputs))
                options.fetch.extend(self._outputs[key][name] for name in outputs)
                options.fetch.extend([self._waits[key]] if key in self._waits else [])
                options.run_options.inter_op_thread_pool = CALLERS_THREAD
                if len(self._callables) >= MOST_CALLABLES:  # each output_filter asks for one
                    partial = (each for each in self._callables if len(each[1]) < len(self._outputs[each[0]]))
                    del self._callables[next(partial)]
                function = self._session._make_callable_from_options(options)
                self._callables[key, outputs] = _Callable(function, merged=key in self._waits)
            return self._callables[key, outputs]


class _Callable:
    """Feeds in, fetches out. The first call is alone: TensorFlow would prepare the graph anew for each beside it."""

    def __init__(self, function: Callable[..., list[Array]], merged: bool) -> None:
        self._function = function
        self._merged = merged
        self._lock = threading.Lock()
        self._prepared = False

    def __call__(self, *feeds: Array) -> list[Array]:
        if self._prepared and self._merged:
            return self._function(*feeds)
        with affinity.spread():  # what is not merged is run in this thread
            if self._prepared:
                return self._function(*feeds)
            with self._lock:
                try:
                    return self._function(*feeds)
                finally:
                    self._prepared = True


def _names(tensors: Mapping[str, meta_graph_pb2.TensorInfo]) -> dict[str, str]:
    return {name: info.name for name, info in tensors.items()}
