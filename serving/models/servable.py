"""A servable: one version of a model, loaded as a SavedModel in its own TensorFlow session.

A session has three advantages over ``tf.saved_model.load``. It loads TensorFlow 1 models, it accepts feeds whose shape
differs from the signature's, and a call costs half as much as one of TensorFlow 2's Python functions.
"""

import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import tensorflow as tf
from absl import logging
from numpy.typing import NDArray
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2

from serving.errors import Code, ServingError, from_tensorflow, hide_path, invalid_argument
from serving.models.batching import Batching, batched_signature
from serving.models.cpu_affinity import all_cpus
from serving.models.input_shapes import column_inputs, shape_mistakes

Signature: TypeAlias = meta_graph_pb2.SignatureDef
TAG = "serve"
INIT_OP = "__saved_model_init_op"
MAX_CALLABLES = 64
_Key: TypeAlias = tuple[str, tuple[str, ...]]  # of a signature and of the outputs to fetch
CALLERS_THREAD = -1  # saves two thread switches per request


class LoadedModel(Protocol):
    """A loaded version of a model.

    Attributes:
        name: Name of the model.
        version: Number of the version.
        path: Folder of the version.
        signatures: Its signatures by key.
    """

    name: str
    version: int
    path: Path
    signatures: dict[str, Signature]

    def run(self, key: str, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Runs a signature. See :meth:`Servable.run`."""

    def close(self) -> None:
        """Frees the model. No request may be running."""


@dataclasses.dataclass(frozen=True)
class Loading:
    """How to load a SavedModel.

    Attributes:
        tags: The tags of the graph to load.
        session_config: Configuration of the TensorFlow session, or ``None`` for the defaults.
    """

    tags: tuple[str, ...] = (TAG,)
    session_config: config_pb2.ConfigProto | None = None


DEFAULTS = Loading()


class Servable:
    """A version loaded from a SavedModel. See :class:`LoadedModel` for its attributes."""

    def __init__(
        self,
        name: str,
        version: int,
        path: Path,
        batching: Batching | None = None,
        on_queued: Callable[[float], None] = lambda _seconds: None,
        loading: Loading = DEFAULTS,
    ) -> None:
        """Loads the version.

        Args:
            name: Name of the model.
            version: Number of the version.
            path: Folder of the SavedModel.
            batching: Batching parameters, or ``None`` to run each request separately.
            on_queued: Called with the time in seconds that a request spent in the batching queue.
            loading: How to load the SavedModel.

        Raises:
            ServingError: The SavedModel cannot be loaded.
        """
        self.name, self.version, self.path, self._on_queued = name, version, path, on_queued
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=loading.session_config)
        try:
            with self._session.graph.as_default():
                meta_graph = tf.compat.v1.saved_model.load(self._session, list(loading.tags), str(path))
            self.signatures: dict[str, Signature] = dict(meta_graph.signature_def)
            self._columns = {key: column_inputs(signature) for key, signature in self.signatures.items()}
            # By signature key: the output tensors to fetch, and for batched signatures those that are merged, and the
            # tensor of the time in the queue.
            runnable = {key: _fetchable(self._session.graph, each) for key, each in self.signatures.items()}
            self._outputs = {key: _names(signature.outputs) for key, signature in runnable.items()}
            self._merged_outputs: dict[str, dict[str, str]] = {}
            self._queue_times: dict[str, str] = {}
            if batching:
                self._batch(runnable, batching)
        except tf.errors.OpError as error:
            self._session.close()
            raise from_tensorflow(error) from error
        except Exception as error:  # a damaged file can raise anything
            self._session.close()
            raise ServingError(Code.INTERNAL, f"{path}: {error}") from error
        self._callables: dict[_Key, _Callable] = {}
        self._empty_callables: dict[_Key, _Callable] = {}  # for batches without rows
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
            # For a batch without rows, BatchFunction returns tensors of the shape [0].
            batched = key in self._queue_times and not _is_empty(feeds)
            values = self._callable(key, names, batched)(*feeds.values())
        except tf.errors.OpError as error:
            found = from_tensorflow(error)
            message = hide_path(found.message, self.path, f"{self.name}/{self.version}")
            raise ServingError(found.code, shape_mistakes(self.signatures[key], inputs) + message) from error
        except (TypeError, ValueError) as error:  # numpy cannot convert a feed
            raise invalid_argument(str(error)) from error
        if batched:
            self._on_queued(max(0.0, float(values.pop())))
        return dict(zip(names, map(_array, values), strict=True))

    def close(self) -> None:
        """Frees the model. No request may be running."""
        self._callables.clear()
        self._empty_callables.clear()
        self._session.close()

    def _batch(self, signatures: Mapping[str, Signature], batching: Batching) -> None:
        for key, signature in signatures.items():
            if key == INIT_OP or not signature.inputs:
                continue
            try:
                outputs, self._queue_times[key] = batched_signature(self._session.graph, signature, batching)
                self._merged_outputs[key] = outputs
            except (ValueError, TypeError, tf.errors.OpError) as error:
                logging.warning("%s/%d: signature %s cannot be batched: %s", self.name, self.version, key, error)

    def _callable(self, key: str, outputs: tuple[str, ...], batched: bool) -> "_Callable":
        cache = self._callables if batched or key not in self._queue_times else self._empty_callables
        existing = cache.get((key, outputs))
        if existing:
            return existing
        with self._lock:
            if (key, outputs) not in cache:
                if len(cache) >= MAX_CALLABLES:  # each output_filter needs its own
                    partial = (each for each in cache if len(each[1]) < len(self._outputs[each[0]]))
                    del cache[next(partial)]
                options = config_pb2.CallableOptions()
                signature, tensors = self.signatures[key], (self._merged_outputs if batched else self._outputs)[key]
                options.feed.extend(signature.inputs[name].name for name in sorted(signature.inputs))
                options.fetch.extend(tensors[name] for name in outputs)
                options.fetch.extend([self._queue_times[key]] if batched else [])
                options.run_options.inter_op_thread_pool = CALLERS_THREAD
                cache[key, outputs] = _Callable(self._session._make_callable_from_options(options), batched)
            return cache[key, outputs]


class _Callable:
    """A session call. Without batching, the first one runs alone: concurrent ones would each prepare the graph."""

    def __init__(self, function: Callable[..., list[NDArray[Any]]], batched: bool) -> None:
        self._function = function
        self._batched = batched
        self._lock = threading.Lock()
        self._prepared = False

    def __call__(self, *feeds: NDArray[Any]) -> list[NDArray[Any]]:
        if self._batched and self._prepared:
            return self._function(*feeds)
        with all_cpus():  # without batching, the model runs in this thread, and the first call may start threads
            if not self._prepared and not self._batched:
                with self._lock:
                    if not self._prepared:
                        return self._run_first(feeds)
            return self._run_first(feeds) if not self._prepared else self._function(*feeds)

    def _run_first(self, feeds: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        try:
            return self._function(*feeds)
        finally:
            self._prepared = True


def _is_empty(feeds: Mapping[str, NDArray[Any]]) -> bool:
    """Returns whether a batch has no rows."""
    return any(feed.ndim and not len(feed) for feed in feeds.values())


def _array(value: Any) -> NDArray[Any]:
    """Returns a fetched value as an array. TensorFlow's Python API returns scalars as numpy scalars or ``bytes``."""
    if isinstance(value, np.ndarray):
        return value
    return np.array(value, object if isinstance(value, bytes) else None)


def _fetchable(graph: tf.Graph, signature: Signature) -> Signature:
    """Returns a signature with a copy of each output that is an input, because a session cannot return those."""
    fetchable = Signature()
    fetchable.CopyFrom(signature)
    inputs = _names(signature.inputs).values()
    with graph.as_default():
        for info in fetchable.outputs.values():
            if info.name in inputs:
                info.name = tf.identity(graph.get_tensor_by_name(info.name)).name
    return fetchable


def _names(tensors: Mapping[str, meta_graph_pb2.TensorInfo]) -> dict[str, str]:
    return {name: info.name for name, info in tensors.items()}
