"""Imports TFX and TensorFlow without what comes with them and few processes need.

The start of a run, of a worker and of the skew guard's process is nearly all imports.
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

# What TFX, its libraries and Beam import and a process uses late, or never. Each is loaded when it is first used.
DEFERRED = frozenset(
    {
        "google.cloud.dataflow",  # Beam's Dataflow runner
        "google.cloud.pubsub",  # Beam's streams
        "keras.src.visualization",  # matplotlib, for galleries of Keras 3, which TensorFlow and keras-tuner import
        "keras.visualization",
        "keras.wrappers",  # scikit-learn, for Keras 3
        "scipy.ndimage",  # tf_keras's pictures
        "scipy.optimize",  # keras-tuner's Bayesian search
        "scipy.stats",  # TFMA's confidence intervals
        "sklearn",  # keras-tuner's Bayesian search, the TfliteExporter's gate
        "tensorflow_model_analysis.metrics.rouge",  # nltk, for a metric of texts
        "tfx.components.infra_validator.model_server_runners.kubernetes_runner",  # kubernetes
        "tqdm.notebook",  # IPython, for BigQuery's progress bars
    }
)
# Objects between two looks for garbage, and looks of one generation between two of the next. Python's own 700 and 10
# are for programs that make few; graphs and Beam's pipelines are millions, most of which stay.
GARBAGE_THRESHOLDS = (50_000, 20, 50)
WAITING, BEGUN = "waiting", "begun"


@contextlib.contextmanager
def deferring() -> Iterator[None]:
    """While it is open, imports are quick: what is in :data:`DEFERRED` waits, and no garbage is collected.

    What was imported is there to stay, so the collector does not look at it later either; and it looks less often,
    which takes a twelfth off a run's processor time.
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


class _Deferred(types.ModuleType):
    """A module that is loaded when something is asked of it that it does not have yet.

    As :class:`importlib.util.LazyLoader` makes, but for three things: it may be asked for its own description and for
    submodules without being loaded, so that ``import sklearn.exceptions`` does not load ``sklearn``; its ``vars`` are
    what they are, since Beam asks for those of all modules when it measures a side input; and threads that ask at the
    same time wait for the one that loads it, which that class sees to from Python 3.12 on.
    """

    def __getattribute__(self, name: str) -> Any:
        plain = types.ModuleType.__getattribute__  # not super's: once it is loaded, this class is no longer its own
        known = plain(self, "__dict__")
        if name not in known and name not in ("__class__", "__dict__"):
            _load(self)
        return plain(self, name)


# One for all: of a package and its submodule each may need the other while it is loaded.
_ONE_AT_A_TIME = threading.RLock()


def _load(module: types.ModuleType) -> None:
    """Loads a deferred module, its package first, as an import does."""
    spec = module.__spec__
    assert spec
    assert spec.loader
    with _ONE_AT_A_TIME:
        package = sys.modules.get(spec.name.rpartition(".")[0])
        if isinstance(package, _Deferred):
            _load(package)
        if spec.loader_state == BEGUN:  # by this thread, whose code asks for more; or it is done
            return
        spec.loader_state = BEGUN
        try:
            spec.loader.exec_module(module)
        except BaseException:
            spec.loader_state = WAITING
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
        spec.loader_state = WAITING
        module.__class__ = _Deferred


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules to defer, and those of a package that waits itself."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in DEFERRED and not isinstance(sys.modules.get(name.rpartition(".")[0]), _Deferred):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader)
        return spec
