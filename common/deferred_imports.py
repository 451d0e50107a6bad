"""Imports TFX and TensorFlow without the dependencies that most processes do not need.

Imports take most of the time that a run, a worker or the skew guard's process needs to start.
"""

import contextlib
import gc
import importlib.abc
import importlib.machinery
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from typing import Any

# Modules that TFX, its libraries and Beam import, and that a process uses late or not at all. Each is loaded on first
# use.
DEFERRED = frozenset(
    {
        "google.cloud.dataflow",  # Beam's Dataflow runner
        "google.cloud.pubsub",  # Beam's streaming sources
        "keras.src.visualization",  # matplotlib, for Keras 3, which TensorFlow and keras-tuner import
        "keras.visualization",
        "keras.wrappers",  # scikit-learn, for Keras 3
        "scipy.ndimage",  # tf_keras's image preprocessing
        "scipy.optimize",  # keras-tuner's Bayesian search
        "scipy.stats",  # TFMA's confidence intervals
        "sklearn",  # keras-tuner's Bayesian search, the TfliteExporter's gate
        "tensorflow_model_analysis.metrics.rouge",  # nltk, for a metric of generated text
        "tfx.components.infra_validator.model_server_runners.kubernetes_runner",  # kubernetes
        "tqdm.notebook",  # IPython, for BigQuery's progress bars
    }
)
# Allocations that start a collection of the youngest generation, and collections of one generation that start one of
# the next. Python's defaults, 700 and 10, suit programs that allocate little. TensorFlow's graphs and Beam's pipelines
# are millions of objects, most of which live until the process ends.
GARBAGE_THRESHOLDS = (50_000, 20, 50)
PENDING, LOADING = "pending", "loading"


@contextlib.contextmanager
def defer_imports() -> Iterator[None]:
    """Makes imports fast while the block runs: modules in :data:`DEFERRED` wait, and garbage collection is off.

    Imported modules live until the process ends, so the collector ignores them from then on. It also runs less often,
    which saves a twelfth of a run's CPU time.
    """
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*GARBAGE_THRESHOLDS)
        gc.enable()
        sys.meta_path.remove(finder)


class _DeferredModule(types.ModuleType):
    """A module that is loaded on the first access to an attribute that it does not have yet.

    It differs from what :class:`importlib.util.LazyLoader` makes in three ways. Its spec and its submodules can be read
    without loading it, so ``import sklearn.exceptions`` does not load ``sklearn``. ``vars()`` does not load it either,
    because Beam calls that on all modules when it measures a side input. And it is thread-safe: other threads wait for
    the one that loads it, which the standard class only does since Python 3.12.
    """

    def __getattribute__(self, name: str) -> Any:
        get = types.ModuleType.__getattribute__  # not super(), since the module has another class once it is loaded
        attributes = get(self, "__dict__")
        if name not in attributes and name not in ("__class__", "__dict__"):
            _load(self)
        return get(self, name)


# One lock for all modules: while they load, a package and its submodule may each need the other.
_LOADING_LOCK = threading.RLock()


def _load(module: types.ModuleType) -> None:
    """Loads a deferred module, its package first, as an import does."""
    spec = module.__spec__
    assert spec
    assert spec.loader
    with _LOADING_LOCK:
        package = sys.modules.get(spec.name.rpartition(".")[0])
        if isinstance(package, _DeferredModule):
            _load(package)
        if spec.loader_state == LOADING:  # already loaded, or this thread is loading it further up the stack
            return
        spec.loader_state = LOADING
        try:
            spec.loader.exec_module(module)
        except BaseException:
            spec.loader_state = PENDING
            raise
        module.__class__ = types.ModuleType


class _Loader(importlib.abc.Loader):
    """Makes a deferred module."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def exec_module(self, module: types.ModuleType) -> None:
        spec = module.__spec__
        assert spec
        spec.loader = module.__loader__ = self._loader
        spec.loader_state = PENDING
        module.__class__ = _DeferredModule


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules to defer, and the submodules of packages that are still deferred."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in DEFERRED and not isinstance(sys.modules.get(name.rpartition(".")[0]), _DeferredModule):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader)
        return spec
